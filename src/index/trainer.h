/// Training: k-means over a sample, order of the lists, int8 centroids; then assignment of every
/// row.
///
/// Lists are by distance under every metric, inner product too: residuals are shorter than with
/// lists by direction, and on data with uneven norms a fifth fewer codes have to be scanned.
///
/// All vectors here are in the rotated, centred space: row-major floats, dim padded to 64, rows
/// 64-byte aligned.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/interrupt.h"

namespace vdb::index {

/// Squared norm up to which rows (the user's values) are taken for means, training and calibration,
/// given those of a sample. Longer ones, a few rows out of all proportion, are indexed as well, but
/// would leave no precision to the others.
float SampledNormSqLimit(std::vector<float> norms_sq);

struct TrainOptions {
  uint32_t lists = 0;  // > 0; fewer come out when the sample has fewer distinct points
  uint64_t seed = 1;
  uint32_t iterations = 10;
  InterruptPoll poll;
};

/// Centroids as an index keeps them, in storage order: chained by nearest neighbour, so that lists
/// that one query probes lie close together.
struct Centroids {
  uint32_t n = 0, dim = 0;
  AlignedBuffer<int8_t> codes;  // (n, dim)
  std::vector<float> scale;     // (n,)
  AlignedBuffer<float> values;  // (n, dim) = scale * codes: what residuals are taken from

  const float* row(uint32_t i) const { return values.data() + size_t{i} * dim; }
};

/// About as quick as any number near it; the blocks of shorter lists are less full.
inline constexpr uint32_t kRowsPerList = 288;
/// Lists for n rows: n / kRowsPerList, at least 1.
uint32_t AutomaticLists(uint64_t rows);

/// Two-level k-means (about sqrt(k) x sqrt(k)) followed by full Lloyd passes over the sample.
/// Errors: kInvalidArgument (no points, no lists), kCancelled.
Result<Centroids> Train(std::span<const float> points, uint32_t dim, const TrainOptions& options);

/// Rebuilds `values` from codes and scale (what a parallel worker receives).
Centroids CentroidsFromCodes(uint32_t dim, std::span<const int8_t> codes,
                             std::span<const float> scale);

/// Finds each row's list. Holds a panelled copy of the centroids (n * dim floats).
class Assigner {
 public:
  explicit Assigner(const Centroids& centroids);
  /// points (n, dim); out (n,). Best in batches of at least 48 rows.
  void Assign(const float* points, size_t n, uint32_t* out) const;

 private:
  uint32_t n_, dim_;
  AlignedBuffer<float> panels_;
  AlignedBuffer<float> norms_;
};

}  // namespace vdb::index
