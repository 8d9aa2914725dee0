#include "crypto/sign.h"

#include <sodium.h>

namespace vdb::crypto {
namespace {

/// libsodium's secret key is the seed and the public key; wiped when it goes.
struct KeyPair {
  PublicKey public_key;
  std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret_key;

  explicit KeyPair(const SecretKey& seed) {
    crypto_sign_seed_keypair(public_key.data(), secret_key.data(), seed.data());
  }
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;
  ~KeyPair() { Wipe(secret_key); }
};

}  // namespace

Result<PublicKey> PublicKeyOf(const SecretKey& seed) {
  VDB_RETURN_IF_ERROR(InitCrypto());
  return KeyPair(seed).public_key;
}

Result<Signature> Sign(const SecretKey& seed, std::span<const uint8_t> message) {
  VDB_RETURN_IF_ERROR(InitCrypto());
  const KeyPair pair(seed);
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                       pair.secret_key.data());
  return signature;
}

bool Verifies(const PublicKey& key, std::span<const uint8_t> message,
              const Signature& signature) noexcept {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

}  // namespace vdb::crypto
