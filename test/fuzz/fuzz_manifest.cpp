// A manifest. What parses is written again, and reads back as the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "format/manifest.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  vdb::Result<vdb::format::Manifest> manifest = vdb::format::ParseManifest(text);
  if (!manifest.ok()) {
    Require(manifest.status().code() == vdb::Code::kCorruption ||
            manifest.status().code() == vdb::Code::kUnsupported);
    return 0;
  }
  vdb::Result<std::string> again = vdb::format::WriteManifest(*manifest);
  Require(again.ok());
  vdb::Result<vdb::format::Manifest> back = vdb::format::ParseManifest(again.value());
  Require(back.ok());
  Require(*back == *manifest);
  return 0;
}
