#include "crypto/hash.h"

// The library's header (angle brackets: not a file of ours).
#include <blake3.h>
#include <sodium.h>

#include <new>

namespace vdb::crypto {
namespace {

blake3_hasher* Of(uint8_t* state) { return reinterpret_cast<blake3_hasher*>(state); }
const blake3_hasher* Of(const uint8_t* state) {
  return reinterpret_cast<const blake3_hasher*>(state);
}

}  // namespace

Hash Blake3(std::span<const uint8_t> bytes) noexcept {
  Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

Hash Sha256(std::span<const uint8_t> bytes) noexcept {
  static_assert(crypto_hash_sha256_BYTES == kHashBytes);
  Hash hash;
  crypto_hash_sha256(hash.data(), bytes.data(), bytes.size());
  return hash;
}

Hasher::Hasher() noexcept {
  static_assert(sizeof(blake3_hasher) <= sizeof(state_));
  static_assert(alignof(blake3_hasher) <= 8);
  blake3_hasher_init(new (state_.data()) blake3_hasher);
}

void Hasher::Update(std::span<const uint8_t> bytes) noexcept {
  blake3_hasher_update(Of(state_.data()), bytes.data(), bytes.size());
}

Hash Hasher::Finish() const noexcept {
  Hash hash;
  blake3_hasher_finalize(Of(state_.data()), hash.data(), hash.size());
  return hash;
}

void Hasher::Reset() noexcept { blake3_hasher_reset(Of(state_.data())); }

SecretKey DeriveKey(const char* context, std::span<const uint8_t> material,
                    std::span<const uint8_t> more) noexcept {
  blake3_hasher hasher;
  blake3_hasher_init_derive_key(&hasher, context);
  blake3_hasher_update(&hasher, material.data(), material.size());
  blake3_hasher_update(&hasher, more.data(), more.size());
  SecretKey key;
  blake3_hasher_finalize(&hasher, key.mutable_bytes().data(), kKeyBytes);
  Wipe({reinterpret_cast<uint8_t*>(&hasher), sizeof(hasher)});
  return key;
}

void KeyedHash(const SecretKey& key, std::span<const uint8_t> bytes, std::span<const uint8_t> more,
               std::span<uint8_t> out) noexcept {
  blake3_hasher hasher;
  blake3_hasher_init_keyed(&hasher, key.data());
  blake3_hasher_update(&hasher, bytes.data(), bytes.size());
  blake3_hasher_update(&hasher, more.data(), more.size());
  blake3_hasher_finalize(&hasher, out.data(), out.size());
}

}  // namespace vdb::crypto
