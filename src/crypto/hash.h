/// BLAKE3: object ids are the hash of the stored bytes (what S5 calls a CID), keys are derived with
/// its key derivation mode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/secret.h"

namespace vdb::crypto {

inline constexpr size_t kHashBytes = 32;
using Hash = std::array<uint8_t, kHashBytes>;

/// The hash of `bytes`.
Hash Blake3(std::span<const uint8_t> bytes) noexcept;

/// SHA-256: what Amazon's signatures are made with.
Hash Sha256(std::span<const uint8_t> bytes) noexcept;

/// The hash of bytes that come in pieces.
class Hasher {
 public:
  Hasher() noexcept;
  void Update(std::span<const uint8_t> bytes) noexcept;
  /// The hash of everything so far; more may follow.
  Hash Finish() const noexcept;
  void Reset() noexcept;

 private:
  // Holds a blake3_hasher: the library's header stays out of ours. Checked in hash.cpp.
  alignas(8) std::array<uint8_t, 1920> state_;
};

/// BLAKE3's derive_key mode: `context` is a constant of ours, different for each purpose;
/// `material` is one or two pieces, hashed one after the other.
SecretKey DeriveKey(const char* context, std::span<const uint8_t> material,
                    std::span<const uint8_t> more = {}) noexcept;

/// BLAKE3's keyed_hash mode over two pieces, one after the other; any number of bytes out.
void KeyedHash(const SecretKey& key, std::span<const uint8_t> bytes, std::span<const uint8_t> more,
               std::span<uint8_t> out) noexcept;

}  // namespace vdb::crypto
