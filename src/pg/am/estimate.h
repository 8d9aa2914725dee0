/// How large an index will be, from the numbers alone: the same rules that the build goes by.
#pragma once

#include <cstdint>

#include "quant/code_layout.h"

namespace vdb::pg {

struct EstimateInput {
  uint64_t rows;
  uint32_t dim;
  uint32_t code_bits;
  uint32_t lists;            // as asked for; 0: automatic
  uint32_t chunk_rows;       // vdb.chunk_size
  uint32_t max_chunk_bytes;  // MaxChunkBytes
  bool remote;               // objects are in a store, not in the index's pages
  uint32_t vector_bytes;     // of a row in region C; 0: vectors are not stored
};

/// Means over how rows spread over lists; single indexes differ from them by a few percent.
struct Estimate {
  double index_bytes;         // of the relation
  double store_bytes;         // of objects in a remote store
  double first_pass_bytes;    // region A and the routing image: what every search reads
  double routing_bytes;       // plaintext of the routing object
  double build_memory_bytes;  // with which a build cuts no sample short and sorts in memory
  double lists, objects;
  double insert_bytes;  // of a delta page, per row
};

Estimate EstimateIndex(const EstimateInput& input);

}  // namespace vdb::pg
