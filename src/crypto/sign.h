/// Ed25519 signatures: what S5's registry takes as proof that the writer of an entry may write it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "crypto/secret.h"

namespace vdb::crypto {

using PublicKey = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;

/// Both for the key pair whose seed is `seed` (RFC 8032's private key).
/// Errors: as InitCrypto.
Result<PublicKey> PublicKeyOf(const SecretKey& seed);
Result<Signature> Sign(const SecretKey& seed, std::span<const uint8_t> message);

bool Verifies(const PublicKey& key, std::span<const uint8_t> message,
              const Signature& signature) noexcept;

}  // namespace vdb::crypto
