#include "crypto/secret.h"

#include <sodium.h>

#include <cstring>

namespace vdb::crypto {

Status InitCrypto() {
  static const int result = sodium_init();
  if (result < 0) return Internal("could not find a source of random numbers");
  return {};
}

Status RandomBytes(std::span<uint8_t> out) {
  VDB_RETURN_IF_ERROR(InitCrypto());
  randombytes_buf(out.data(), out.size());
  return {};
}

void Wipe(std::span<uint8_t> bytes) noexcept { sodium_memzero(bytes.data(), bytes.size()); }

void Wipe(std::string* text) noexcept {
  // Up to the capacity: earlier contents may have been longer. resize() never allocates here.
  text->resize(text->capacity());
  sodium_memzero(text->data(), text->size());
  text->clear();
}

bool EqualSecrets(std::span<const uint8_t> a, std::span<const uint8_t> b) noexcept {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

SecretKey::SecretKey(std::span<const uint8_t, kKeyBytes> bytes) noexcept {
  std::memcpy(bytes_.data(), bytes.data(), kKeyBytes);
}

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) { Wipe(other.bytes_); }

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    Wipe(other.bytes_);
  }
  return *this;
}

Result<SecretKey> SecretKey::Random() {
  SecretKey key;
  VDB_RETURN_IF_ERROR(RandomBytes(key.bytes_));
  return key;
}

}  // namespace vdb::crypto
