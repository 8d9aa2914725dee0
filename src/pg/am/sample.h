/// Sampling a table for training: a uniform reservoir of its vectors, and how many rows there are.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "pg/am/opclass.h"

namespace vdb::pg {

/// A uniform sample of the rows an index will hold.
struct Sample {
  uint64_t rows = 0;           // that the index will hold, all of them
  double heap_rows = 0;        // that were seen
  std::vector<float> vectors;  // (n, dim), the user's values
  std::vector<uint64_t> tids;  // (n,) packed

  size_t size() const { return tids.size(); }
};

/// Scans the table once with the index's predicate and expression; keeps at most `capacity` rows.
/// Values that are not kept are not detoasted (but for cosine, where a zero vector does not count).
/// Throws ErrorPending.
Sample SampleTable(Relation heap, Relation index, IndexInfo* info, const OpclassInfo& opclass,
                   uint32_t dim, size_t capacity, uint64_t seed);

}  // namespace vdb::pg
