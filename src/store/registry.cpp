#include "store/registry.h"

#include <algorithm>

namespace vdb::store {
namespace {

constexpr uint8_t kEntry = 0x07;
constexpr uint8_t kEd25519 = 0xed;
constexpr size_t kDataAt = 1 + 1 + 32 + 8 + 1;

void AppendValue(std::vector<uint8_t>& out, uint64_t revision, std::span<const uint8_t> data) {
  for (int shift = 0; shift < 64; shift += 8)
    out.push_back(static_cast<uint8_t>(revision >> shift));
  out.push_back(static_cast<uint8_t>(data.size()));
  out.insert(out.end(), data.begin(), data.end());
}

}  // namespace

std::vector<uint8_t> RegistryMessage(uint64_t revision, std::span<const uint8_t> data) {
  std::vector<uint8_t> out = {kEntry};
  AppendValue(out, revision, data);
  return out;
}

std::vector<uint8_t> SerializeRegistryEntry(const RegistryEntry& entry) {
  std::vector<uint8_t> out = {kEntry, kEd25519};
  out.insert(out.end(), entry.key.begin(), entry.key.end());
  AppendValue(out, entry.revision, entry.data);
  out.insert(out.end(), entry.signature.begin(), entry.signature.end());
  return out;
}

Result<RegistryEntry> ParseRegistryEntry(std::span<const uint8_t> bytes) {
  RegistryEntry entry;
  if (bytes.size() < kDataAt || bytes[0] != kEntry || bytes[1] != kEd25519 ||
      bytes.size() != kDataAt + bytes[kDataAt - 1] + entry.signature.size()) {
    return InvalidArgument("malformed registry entry");
  }
  std::copy_n(bytes.begin() + 2, entry.key.size(), entry.key.begin());
  for (size_t i = 8; i-- > 0;) entry.revision = entry.revision << 8 | bytes[34 + i];
  const auto data = bytes.begin() + kDataAt;
  entry.data.assign(data, data + bytes[kDataAt - 1]);
  std::copy_n(bytes.end() - static_cast<ptrdiff_t>(entry.signature.size()), entry.signature.size(),
              entry.signature.begin());
  return entry;
}

}  // namespace vdb::store
