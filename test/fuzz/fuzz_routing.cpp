// A routing object's plaintext. What parses is exactly what the writer writes from what was read.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "format/routing_object.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  vdb::Result<vdb::format::RoutingObject> object = vdb::format::ParseRoutingObject(bytes);
  if (!object.ok()) {
    Require(object.status().code() == vdb::Code::kCorruption);
    return 0;
  }
  vdb::Result<std::vector<uint8_t>> again = vdb::format::WriteRoutingObject(
      {object->header, object->calibration, object->centroids, object->scale, object->radius,
       object->rows, object->chunk_lists});
  Require(again.ok());
  Require(std::equal(again->begin(), again->end(), bytes.begin(), bytes.end()));
  return 0;
}
