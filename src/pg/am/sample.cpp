#include "pg/am/sample.h"

#include "pg/am/delta.h"
#include "pg/guard.h"
#include "simd/distance.h"

namespace vdb::pg {

namespace {

// Longer vectors are indexed but not sampled: sums over their squares leave the range of float, and
// with them centroids and radii.
constexpr float kMaxSampledNormSq = 1e36f;

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
      if (simd::Dot(floats, floats, state->dim) < kMaxSampledNormSq) {
        if (floats != target) std::memcpy(target, floats, sizeof(float) * state->dim);
        state->tids[place] = PackTid(*tid);
        if (place == state->kept) state->kept++;
      }
    }
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(state->row_memory);
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
        table_index_build_scan(heap, index, info, true, false, SampleRow, &state, nullptr);
    MemoryContextDelete(state.row_memory);
    return rows;
  });
  sample.rows = state.rows;
  sample.tids.resize(state.kept);
  return sample;
}

}  // namespace vdb::pg
