// Identifiers and registry entries of S5, as text and as bytes. What is accepted writes itself
// again.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "store/cid.h"
#include "store/multibase.h"
#include "store/registry.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void TryBytes(std::span<const uint8_t> bytes) {
  using namespace vdb::store;
  if (const auto blob = ParseCid(bytes); blob.ok()) {
    Require(ParseCid(LegacyCid(blob.value())).value() == blob.value());
    Require(ParseCid(BlobIdBytes(blob.value())).value() == blob.value());
  }
  if (const auto cid = ParseEncryptedCid(bytes); cid.ok()) {
    Require(ParseEncryptedCid(EncryptedCidBytes(cid.value())).value() == cid.value());
  }
  if (const auto entry = ParseRegistryEntry(bytes); entry.ok()) {
    const std::vector<uint8_t> again = SerializeRegistryEntry(entry.value());
    Require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  TryBytes({data, size});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto decoded = vdb::store::DecodeMultibase(text);
  if (!decoded.ok()) return 0;
  const std::string again = vdb::store::EncodeMultibase(text.front(), decoded.value());
  Require(again == text);
  TryBytes(decoded.value());
  return 0;
}
