#include "index/space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "simd/distance.h"

namespace vdb::index {

Space::Space(Metric metric, quant::Rotation rotation, std::span<const float> mean)
    : metric_(metric), rotation_(std::move(rotation)), mean_(rotation_.padded_dim()) {
  std::copy_n(mean.begin(), std::min<size_t>(mean.size(), mean_.size()), mean_.data());
}

namespace {

// Rotates the vector divided by its largest component. False for a zero vector.
bool RotateDivided(const quant::Rotation& rotation, const float* vector, float* norm_sq,
                   float* out) {
  const size_t dim = rotation.dim();
  float divided[quant::kMaxDim];
  float largest = 0;
  for (size_t i = 0; i < dim; ++i) largest = std::max(largest, std::fabs(vector[i]));
  if (!(largest > 0)) return false;
  for (size_t i = 0; i < dim; ++i) divided[i] = vector[i] / largest;
  rotation.Apply(divided, out);
  *norm_sq = simd::Dot(divided, divided, dim);
  return true;
}

// Rotates and normalises. Rotation is linear, so a vector is normalised after it: no copy of the
// input is needed. False for a vector whose norm is zero.
bool Normalise(const quant::Rotation& rotation, const float* vector, float* out) {
  rotation.Apply(vector, out);
  float norm_sq = simd::Dot(vector, vector, rotation.dim());
  // Squares out of the range of float; components may have left it, too.
  if (!(norm_sq >= std::numeric_limits<float>::min() && std::isfinite(norm_sq)) &&
      !RotateDivided(rotation, vector, &norm_sq, out))
    return false;
  const float scale = 1 / std::sqrt(norm_sq);
  for (size_t i = 0; i < rotation.padded_dim(); ++i) out[i] *= scale;
  return true;
}

}  // namespace

bool Space::Data(const float* vector, float* out) const {
  const size_t padded = padded_dim();
  if (metric_ != Metric::kCosine) {
    rotation_.Apply(vector, out);
  } else if (!Normalise(rotation_, vector, out)) {
    std::fill_n(out, padded, 0.0f);
    return false;
  }
  const float* mean = mean_.data();
  for (size_t i = 0; i < padded; ++i) out[i] -= mean[i];
  return true;
}

float Space::Query(const float* vector, float* out) const {
  const size_t padded = padded_dim();
  const float* mean = mean_.data();
  if (metric_ != Metric::kCosine) {
    rotation_.Apply(vector, out);
  } else if (!Normalise(rotation_, vector, out)) {
    std::fill_n(out, padded, 0.0f);
  }
  if (metric_ == Metric::kInnerProduct) return -simd::Dot(out, mean, padded);
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
