/// Secret memory and random bytes. Everything that holds a key holds it in a SecretKey.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace vdb::crypto {

inline constexpr size_t kKeyBytes = 32;

/// Makes libsodium choose its implementations for this processor. Called by everything here that
/// needs it; cheap after the first time. Any thread.
/// Errors: kInternal when the system has no source of random numbers.
Status InitCrypto();

/// Fills `out` from the system's generator. For keys and nonces.
/// Errors: as InitCrypto.
Status RandomBytes(std::span<uint8_t> out);

/// Overwrites memory in a way that the compiler does not remove.
void Wipe(std::span<uint8_t> bytes) noexcept;
void Wipe(std::string* text) noexcept;

/// Whether two tags or keys are equal, in time that does not depend on where they differ.
bool EqualSecrets(std::span<const uint8_t> a, std::span<const uint8_t> b) noexcept;

/// 32 bytes that are wiped when they go. All zeros until filled. Moving wipes the source.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(std::span<const uint8_t, kKeyBytes> bytes) noexcept;
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;
  ~SecretKey() { Wipe(bytes_); }

  /// Errors: as InitCrypto.
  static Result<SecretKey> Random();

  const uint8_t* data() const { return bytes_.data(); }
  std::span<const uint8_t, kKeyBytes> bytes() const { return bytes_; }
  std::span<uint8_t, kKeyBytes> mutable_bytes() { return bytes_; }

 private:
  std::array<uint8_t, kKeyBytes> bytes_{};
};

}  // namespace vdb::crypto
