#include "pg/am/sample.h"

#include <limits>

#include "index/trainer.h"
#include "pg/am/delta.h"
#include "pg/guard.h"
#include "simd/distance.h"

namespace vdb::pg {

namespace {

struct SampleState {
  const OpclassInfo* opclass;
  uint32_t dim;
  size_t stride, capacity;
  size_t kept = 0;
  uint64_t rows = 0;
  SplitMix64 random;
  MemoryContext row_memory;
  float* vectors;
  uint64_t* tids;
};

/// Called for each row: algorithm R.
void SampleRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
  auto* state = static_cast<SampleState*>(arg);
  if (isnull[0]) return;
  const bool cosine = state->opclass->metric == Metric::kCosine;
  const size_t place =
      state->kept < state->capacity ? state->kept : state->random.Below(state->rows + 1);
  if (place >= state->capacity && !cosine) {
    state->rows++;
    return;
  }
  MemoryContext old = MemoryContextSwitchTo(state->row_memory);
  void* copy;
  const Elements elements = ViewElements(*state->opclass, values[0], &copy);
  if (elements.dim != state->dim) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected %u dimensions, not %u", state->dim, elements.dim)));
  }
  if (!(cosine && IsZero(elements))) {
    state->rows++;
    if (place < state->capacity) {
      float* target = state->vectors + place * state->stride;
      const float* floats = AsFloats(elements, target);
      if (floats != target) std::memcpy(target, floats, sizeof(float) * state->dim);
      state->tids[place] = PackTid(*tid);
      if (place == state->kept) state->kept++;
    }
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(state->row_memory);
}

/// Removes what is too long to be sampled. Under cosine all are of one length.
void RemoveOutliers(uint32_t dim, Sample* sample) {
  std::vector<float> norms_sq(sample->size());
  for (size_t i = 0; i < norms_sq.size(); i++) {
    norms_sq[i] = simd::Dot(sample->row(i), sample->row(i), dim);
  }
  sample->norm_sq_limit = index::SampledNormSqLimit(norms_sq);
  size_t kept = 0;
  for (size_t i = 0; i < norms_sq.size(); i++) {
    if (norms_sq[i] > sample->norm_sq_limit) continue;
    if (kept != i) {
      std::memcpy(sample->row(kept), sample->row(i), sizeof(float) * dim);
      sample->tids[kept] = sample->tids[i];
    }
    kept++;
  }
  sample->tids.resize(kept);
}

}  // namespace

Sample SampleTable(Relation heap, Relation index, IndexInfo* info, const OpclassInfo& opclass,
                   uint32_t dim, size_t stride, size_t capacity, uint64_t seed) {
  Sample sample;
  sample.stride = stride;
  sample.vectors.Reset(capacity * stride);
  sample.tids.resize(capacity);
  SampleState state{&opclass,          dim,     stride,
                    capacity,          0,       0,
                    SplitMix64(seed),  nullptr, sample.vectors.data(),
                    sample.tids.data()};
  sample.heap_rows = Call([&] {
    state.row_memory =
        AllocSetContextCreate(CurrentMemoryContext, "vdb sample row", ALLOCSET_DEFAULT_SIZES);
    const double rows =
        table_index_build_scan(heap, index, info, true, true, SampleRow, &state, nullptr);
    MemoryContextDelete(state.row_memory);
    return rows;
  });
  sample.rows = state.rows;
  sample.tids.resize(state.kept);
  sample.norm_sq_limit = std::numeric_limits<float>::infinity();
  if (opclass.metric != Metric::kCosine) RemoveOutliers(dim, &sample);
  return sample;
}

}  // namespace vdb::pg
