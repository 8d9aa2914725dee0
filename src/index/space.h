/// Space: takes a user's vectors into the space that codes and centroids live in: normalised
/// (cosine only), rotated, minus the data's mean. One Space an index; immutable after construction,
/// so any thread may use it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/metric.h"
#include "quant/rabitq.h"
#include "quant/rotation.h"

namespace vdb::index {

class Space {
 public:
  /// mean (padded_dim,) in rotated space; zeros until it is known.
  Space(Metric metric, quant::Rotation rotation, std::span<const float> mean);

  Metric metric() const { return metric_; }
  uint32_t dim() const { return rotation_.dim(); }
  uint32_t padded_dim() const { return rotation_.padded_dim(); }
  const quant::Rotation& rotation() const { return rotation_; }
  std::span<const float> mean() const { return mean_.span(); }
  quant::Estimator estimator() const {
    return metric_ == Metric::kInnerProduct ? quant::Estimator::kInnerProduct
                                            : quant::Estimator::kL2;
  }

  /// A data vector (dim,) to out (padded_dim,), 64-byte aligned. False, and out all zeros, for a
  /// zero vector under cosine, which an index does not hold.
  bool Data(const float* vector, float* out) const;

  /// A query. L2, L1 and cosine subtract the mean; inner product does not, and returns -<q, mean>
  /// as offset, to be added to every estimate and list score. A zero query under cosine gives out =
  /// -mean.
  float Query(const float* vector, float* out) const;

  /// From the metric's distance as SQL shows it to search units (what estimates, bounds and tau are
  /// in): L2: squared; inner product: -<q,o> as it is; cosine: 2 * distance; L1: (distance /
  /// l1_ratio)^2.
  float ToSearchUnits(double distance, float l1_ratio) const;

 private:
  Metric metric_;
  quant::Rotation rotation_;
  AlignedBuffer<float> mean_;
};

}  // namespace vdb::index
