/// An entry of S5's registry: a small value under an ed25519 public key. Whoever has the key may
/// replace it by one with a larger revision.
///
/// Signed are 07 | revision, u64 | one byte of length | data; a serialized entry is
/// 07 | ed, public key (32) | revision, u64 | length | data | signature (64). Little-endian.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vdb::store {

using PublicKey = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;

/// The keys of records, and the arithmetic, both of which this layer does not have: keys stay where
/// the server keeps them.
class RegistryKeys {
 public:
  virtual ~RegistryKeys() = default;
  /// The public key of the record `name`: always the same, another one for each name.
  virtual Result<PublicKey> Public(std::string_view name) = 0;
  virtual Result<Signature> Sign(std::string_view name, std::span<const uint8_t> message) = 0;
  virtual bool Verifies(const PublicKey& key, std::span<const uint8_t> message,
                        const Signature& signature) = 0;
};

struct RegistryEntry {
  PublicKey key{};
  uint64_t revision = 0;
  std::vector<uint8_t> data;  // at most 255 bytes
  Signature signature{};
};

/// What is signed. Pre: data.size() <= 255.
std::vector<uint8_t> RegistryMessage(uint64_t revision, std::span<const uint8_t> data);
std::vector<uint8_t> SerializeRegistryEntry(const RegistryEntry& entry);
/// The signature is not looked at. Errors: kInvalidArgument.
Result<RegistryEntry> ParseRegistryEntry(std::span<const uint8_t> bytes);

}  // namespace vdb::store
