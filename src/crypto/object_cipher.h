/// ObjectCipher: seals and opens the 16 KiB frames of one object.
///
/// Encrypted: XChaCha20-Poly1305 (IETF), nonce = frame number as 24 bytes little-endian, no
/// associated data, the 16-byte tag appended: S5's blob scheme at chunk size 2^14. Nonces are
/// counters, so the key must be fresh for each object: it is derived from the index's data key and
/// the object's random nonce. A frame of another object, at another place, or changed by a bit does
/// not open.
///
/// Not encrypted: the same geometry; the plaintext followed by a tag, the first 16 bytes of keyed
/// BLAKE3 over plaintext and frame number (u64 little-endian). The key comes from the object's
/// nonce alone, so this notices damage and mix-ups, not an attacker.
///
/// Immutable after construction; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "crypto/secret.h"

namespace vdb::crypto {

inline constexpr size_t kTagBytes = 16;
inline constexpr size_t kObjectNonceBytes = 32;
using ObjectNonce = std::array<uint8_t, kObjectNonceBytes>;

/// A fresh nonce for a new object. Never use one twice.
/// Errors: as InitCrypto.
Result<ObjectNonce> RandomObjectNonce();

class ObjectCipher {
 public:
  static ObjectCipher Encrypted(const SecretKey& data_key, const ObjectNonce& nonce) noexcept;
  static ObjectCipher Unencrypted(const ObjectNonce& nonce) noexcept;

  bool encrypted() const { return encrypted_; }
  /// The object's own key: for those who may hand it out.
  std::span<const uint8_t, kKeyBytes> key() const { return key_.bytes(); }

  /// Writes plain.size() + kTagBytes bytes to `out`. In place is allowed: out == plain.data().
  void SealFrame(uint64_t frame, std::span<const uint8_t> plain, uint8_t* out) const noexcept;

  /// Writes stored.size() - kTagBytes bytes to `out`, which may be stored.data(). On failure `out`
  /// is zeroed.
  /// Errors: kCorruption, naming the frame: damaged, another frame or object, or the wrong key.
  Status OpenFrame(uint64_t frame, std::span<const uint8_t> stored, uint8_t* out) const;

  /// Like OpenFrame, for a caller who says itself what is wrong. False: not authentic.
  bool TryOpenFrame(uint64_t frame, std::span<const uint8_t> stored, uint8_t* out) const noexcept;

 private:
  ObjectCipher(SecretKey key, bool encrypted) noexcept
      : key_(std::move(key)), encrypted_(encrypted) {}

  SecretKey key_;
  bool encrypted_;
};

}  // namespace vdb::crypto
