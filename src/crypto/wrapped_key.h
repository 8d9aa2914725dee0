/// WrappedKey: an index's data key as it lies in the index's pages, encrypted under a master key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/status.h"
#include "crypto/key_ring.h"
#include "crypto/secret.h"

namespace vdb::crypto {

inline constexpr size_t kUuidBytes = 16;
using Uuid = std::array<uint8_t, kUuidBytes>;

/// A random (version 4) uuid.
/// Errors: as InitCrypto.
Result<Uuid> RandomUuid();

inline constexpr uint32_t kWrapVersion = 1;

/// On disk as it is (little-endian, no padding). All zeros: there is no key (yet).
struct WrappedKey {
  uint32_t version;                    // kWrapVersion; 0: none
  uint32_t reserved;                   // 0
  char key_id[kMaxKeyIdBytes + 1];     // zero-filled to the end
  uint8_t nonce[24];                   // random
  uint8_t ciphertext[kKeyBytes + 16];  // XChaCha20-Poly1305 of the data key, tag appended

  bool present() const { return version != 0; }
};
static_assert(sizeof(WrappedKey) == 112);
static_assert(std::is_trivially_copyable_v<WrappedKey>);

/// Encrypts `data_key` under the ring's current key, bound to the index's uuid, the key id and the
/// version.
/// Errors: kInvalidArgument when the ring is empty; as InitCrypto.
Result<WrappedKey> WrapDataKey(const KeyRing& ring, const Uuid& index, const SecretKey& data_key);

/// Errors: kInvalidArgument with a HINT: the master key is not in the ring, or it is another key
/// under the same id. kCorruption: the record itself makes no sense.
Result<SecretKey> UnwrapDataKey(const KeyRing& ring, const Uuid& index, const WrappedKey& wrapped);

/// Whether `wrapped` is under the ring's current key (by id). Pre: the ring is not empty.
bool IsUnderCurrentKey(const KeyRing& ring, const WrappedKey& wrapped);

}  // namespace vdb::crypto
