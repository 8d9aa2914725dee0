/// KeyRing: the master keys (key-encryption keys) that a server has been given. The first one wraps
/// new data keys; all of them unwrap.
///
/// Text form, one key a line: `id:KEY` or just `KEY`, where KEY is 64 hexadecimal digits or the
/// base64 of 32 bytes. Blank lines and lines that begin with # are skipped, blanks around a line
/// ignored. An id is 1 to 31 of A-Z a-z 0-9 . _ -; a key without one is known by its fingerprint.
/// So rotating means writing the new key above the old one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "crypto/secret.h"

namespace vdb::crypto {

inline constexpr size_t kMaxKeyIdBytes = 31;
inline constexpr size_t kMaxRingKeys = 1024;
/// Longest text that ParseKeyRing takes.
inline constexpr size_t kMaxKeyRingTextBytes = 16384;

struct MasterKey {
  std::string id;
  SecretKey key;
};

/// 16 hexadecimal digits that tell keys apart and say nothing about them.
std::string KeyFingerprint(const SecretKey& key);

class KeyRing {
 public:
  KeyRing() = default;

  /// Adds a key behind the others. An empty id stands for the key's fingerprint.
  /// Errors: kInvalidArgument: malformed or repeated id, too many keys.
  Status Add(std::string_view id, SecretKey key);

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  /// The key that wraps. Pre: not empty.
  const MasterKey& current() const { return keys_.front(); }
  /// The key with this id or this fingerprint; null: there is none.
  const MasterKey* Find(std::string_view id) const;
  std::span<const MasterKey> keys() const { return keys_; }

 private:
  std::vector<MasterKey> keys_;
};

/// Parses the text form. Wiping `text` is the caller's.
/// Errors: kInvalidArgument naming the line, never what it says.
Result<KeyRing> ParseKeyRing(std::string_view text);

}  // namespace vdb::crypto
