#include "index/query.h"

#include <algorithm>
#include <cmath>

#include "simd/distance.h"

namespace vdb::index {

namespace {

/// How many of a rotated vector's coordinates are rounded alike. Of few dimensions a rotation makes
/// many coordinates with few distinct values between them, and so it is with the residuals that
/// products are made with: then roundings that are the same do not cancel, and their sum's variance
/// is so many times larger.
float SharedRoundings(const Space& space) {
  const auto dim = static_cast<float>(space.dim());
  return std::max(1.0f, static_cast<float>(quant::kDimMultiple) / dim);
}

}  // namespace

PreparedQuery::PreparedQuery(const Space& space, quant::CodeLayout layout)
    : space_(space),
      layout_(layout),
      values_(layout.dim),
      table_(size_t{layout.dim} * 4),
      q8_(layout.dim) {}

void PreparedQuery::Prepare(const float* vector) {
  offset_ = space_.Query(vector, values_.data());
  const size_t dim = layout_.dim;
  scan_ = simd::PrepareScanQuery(values_.data(), dim, table_.data(), q8_.data());
  const float shared = SharedRoundings(space_);
  if (layout_.bits > 1) ex_estimator_ = quant::ExEstimator(layout_, scan_, shared);
  norm_sq_ = simd::Dot(values_.data(), values_.data(), dim);
  // f_error stands for the code's error at distance |q - c|. The table's rounding adds an error
  // that does not shrink with |q - c|: each of dim/4 entries is off by step / sqrt 12. Between a
  // vector and its 1-bit code lies an angle of tangent .75; as a share of the error from that, the
  // variance is .23 dim step^2. Without it the bounds of lists much tighter than |q| would be
  // wrong; and it is taken as seriously as for ex records, where quant::ExEstimator sees to it.
  constexpr float kSigmas = quant::kRoundingSigmas / quant::kErrorSigmas;
  noise_ = shared * kSigmas * kSigmas * .23f * static_cast<float>(dim) * scan_.step * scan_.step;
}

QueryTerms PreparedQuery::Terms(const int8_t* codes, float scale, float centroid_norm_sq) const {
  const size_t dim = layout_.dim;
  const float product = scale * simd::DotInt8(values_.data(), codes, dim);
  const float magnitude = norm_sq_ + centroid_norm_sq;
  float distance_sq = magnitude - 2 * product;
  if (distance_sq < 1e-3f * magnitude) {
    // What is left of the subtraction is mostly rounding: once more by components.
    distance_sq = 0;
    for (size_t i = 0; i < dim; ++i) {
      const float difference = values_[i] - scale * static_cast<float>(codes[i]);
      distance_sq += difference * difference;
    }
  }
  return FromProduct(product, distance_sq);
}

QueryTerms PreparedQuery::FromProduct(float product, float distance_sq) const {
  const bool by_product = space_.estimator() == quant::Estimator::kInnerProduct;
  return {by_product ? offset_ - product : distance_sq, std::sqrt(distance_sq + noise_),
          std::sqrt(distance_sq)};
}

}  // namespace vdb::index
