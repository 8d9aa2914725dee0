// A chunk's plaintext. What parses is exactly what the writer writes from what was read.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "format/chunk.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using vdb::format::ChunkWriter;
  using vdb::format::ListPlace;
  const std::span<const uint8_t> bytes(data, size);
  vdb::Result<vdb::format::ChunkView> view = vdb::format::ParseChunk(bytes);
  if (!view.ok()) {
    Require(view.status().code() == vdb::Code::kCorruption);
    return 0;
  }
  const vdb::format::ChunkHeader& header = view->header;
  const vdb::format::ChunkGeometry& geometry = view->geometry;
  ChunkWriter writer;
  Require(writer.Begin(header).ok());
  for (const ListPlace& list : geometry.lists) {
    const size_t a_bytes = size_t{(list.rows + 31) / 32} * header.block_bytes;
    const size_t c_bytes = geometry.rows == 0 ? 0 : geometry.c_bytes / geometry.rows * list.rows;
    Require(writer
                .AddList(list.rows, bytes.subspan(list.a_offset, a_bytes),
                         bytes.subspan(list.b_offset, size_t{list.rows} * header.ex_record_bytes),
                         bytes.subspan(list.c_offset, c_bytes))
                .ok());
  }
  vdb::Result<std::span<const uint8_t>> again = writer.Finish();
  Require(again.ok());
  Require(std::equal(again->begin(), again->end(), bytes.begin(), bytes.end()));
  return 0;
}
