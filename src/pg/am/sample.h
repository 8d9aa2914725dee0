/// Sampling a table for training: a uniform reservoir of its vectors, and how many rows there are.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "pg/am/opclass.h"

namespace vdb::pg {

/// A uniform sample of the rows an index will hold.
struct Sample {
  uint64_t rows = 0;             // that the index will hold, all of them
  double heap_rows = 0;          // that were seen
  size_t stride = 0;             // floats from one row to the next: room to transform it in place
  AlignedBuffer<float> vectors;  // (n, stride), the user's values
  std::vector<uint64_t> tids;    // (n,) packed
  float norm_sq_limit = 0;       // longer rows were left out; infinity under cosine

  size_t size() const { return tids.size(); }
  float* row(size_t i) { return vectors.data() + i * stride; }
  const float* row(size_t i) const { return vectors.data() + i * stride; }
};

/// Scans the table once with the index's predicate and expression; keeps at most `capacity` rows,
/// `stride` floats apart.
/// Values that are not kept are not detoasted (but for cosine, where a zero vector does not count).
/// Throws ErrorPending.
Sample SampleTable(Relation heap, Relation index, IndexInfo* info, const OpclassInfo& opclass,
                   uint32_t dim, size_t stride, size_t capacity, uint64_t seed);

}  // namespace vdb::pg
