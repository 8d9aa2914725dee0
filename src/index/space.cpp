#include "index/space.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "simd/distance.h"

namespace vdb::index {

Space::Space(Metric metric, quant::Rotation rotation, std::span<const float> mean)
    : metric_(metric), rotation_(std::move(rotation)), mean_(rotation_.padded_dim()) {
  std::copy_n(mean.begin(), std::min<size_t>(mean.size(), mean_.size()), mean_.data());
}

namespace {

// Rotation is linear, so a cosine vector is normalised after it: no copy of the input is needed.
// False for a vector whose norm is zero (or has overflowed: infinity would divide to zero as well).
bool Normalise(const float* vector, size_t dim, float* out, size_t padded_dim) {
  float norm_sq = simd::Dot(vector, vector, dim);
  float scale = 1 / std::sqrt(norm_sq);
  if (!std::isfinite(scale) || scale == 0) {
    // Squares out of the range of float: once more in double.
    double sum = 0;
    for (size_t i = 0; i < dim; ++i) sum += double{vector[i]} * vector[i];
    if (!(sum > 0)) return false;
    const double wide = 1 / std::sqrt(sum);
    for (size_t i = 0; i < padded_dim; ++i) out[i] = static_cast<float>(out[i] * wide);
    return true;
  }
  for (size_t i = 0; i < padded_dim; ++i) out[i] *= scale;
  return true;
}

}  // namespace

bool Space::Data(const float* vector, float* out) const {
  const size_t padded = padded_dim();
  rotation_.Apply(vector, out);
  if (metric_ == Metric::kCosine && !Normalise(vector, dim(), out, padded)) {
    std::fill_n(out, padded, 0.0f);
    return false;
  }
  const float* mean = mean_.data();
  for (size_t i = 0; i < padded; ++i) out[i] -= mean[i];
  return true;
}

float Space::Query(const float* vector, float* out) const {
  const size_t padded = padded_dim();
  rotation_.Apply(vector, out);
  const float* mean = mean_.data();
  if (metric_ == Metric::kInnerProduct) return -simd::Dot(out, mean, padded);
  if (metric_ == Metric::kCosine && !Normalise(vector, dim(), out, padded)) {
    std::fill_n(out, padded, 0.0f);
  }
  for (size_t i = 0; i < padded; ++i) out[i] -= mean[i];
  return 0;
}

float Space::ToSearchUnits(double distance, float l1_ratio) const {
  switch (metric_) {
    case Metric::kL2:
      return static_cast<float>(distance * distance);
    case Metric::kInnerProduct:
      return static_cast<float>(distance);
    case Metric::kCosine:
      return static_cast<float>(2 * distance);
    case Metric::kL1:
      break;
  }
  const double l2 = distance / l1_ratio;
  return static_cast<float>(l2 * l2);
}

}  // namespace vdb::index
