/// Calibrator: finds theta and near_ratio, the numbers of the probing rule, from queries that are
/// rows of the table.
///
/// While the build streams its lists out, each list is scanned for every calibration query; at the
/// end the ten nearest (by code estimate, self excluded by row id) of each query are known with the
/// list they are in. A list's key is mean - theta * spread; a neighbour is found when its list's
/// key is under the tenth distance, so the quantile of (mean - tenth distance) / spread over all
/// neighbours at the recall target + .015 is enough; theta is the least that a simulation of the
/// search finds to be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/interrupt.h"
#include "index/routing.h"
#include "index/space.h"

namespace vdb::index {

/// The radius that a list's key is made with: the root of the mean squared residual. Where squares
/// overflowed the largest number there is, with which a list is looked at whatever the query is.
inline float ListRadius(double residual_sq, uint32_t rows) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const double radius = std::sqrt(residual_sq / std::max(rows, 1u));
  return radius < kLargest ? static_cast<float>(radius) : kLargest;  // NaN, too
}

/// One finished list, as it goes to the chunk.
struct EncodedList {
  const int8_t* centroid;  // (dim,)
  float scale, radius;
  uint32_t rows;
  const uint8_t* blocks;      // region A
  const uint8_t* ex_records;  // region B; null when bits == 1
  const uint64_t* ids;        // (rows,) row ids (packed TIDs)
};

class Calibrator {
 public:
  /// queries (n, dim) as the user gave them, ids (n,): the rows they are; norm_sq_limit as
  /// SampledNormSqLimit has it.
  Calibrator(const Space& space, quant::CodeLayout layout, std::span<const float> queries,
             std::span<const uint64_t> ids, float norm_sq_limit);
  ~Calibrator();

  /// L1 only: exact L1 truth, fed with each row (user's values) as it is assigned; lists by trained
  /// number, which AddList's order must match. Not needed for other metrics.
  void AddRowL1(uint64_t id, const float* vector, uint32_t list);

  Status AddList(const EncodedList& list, const InterruptPoll& poll);

  /// Theta and the rest for a recall target in (0, 1]. Lists count in the order of AddList.
  Calibration Finish(float recall_target) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vdb::index
