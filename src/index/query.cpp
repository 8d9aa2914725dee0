#include "index/query.h"

#include <algorithm>
#include <cmath>

#include "simd/distance.h"

namespace vdb::index {

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
  norm_sq_ = simd::Dot(values_.data(), values_.data(), dim);
  // f_error stands for the code's error at distance |q - c|. Rounding the query to 8 bits adds an
  // error that does not shrink with |q - c|: each of dim/4 table entries is off by up to step/2,
  // and in ex products each of dim components by up to q8_step/2. As a share of a code's error
  // (tangent .75 between vector and 1-bit code, halved by each further bit) these are the variances
  // below. Without them the bounds of lists much tighter than |q| would be wrong.
  const float table = static_cast<float>(dim) * scan_.step * scan_.step;
  const float linear = static_cast<float>(dim) * scan_.q8_step * scan_.q8_step;
  const float gain = static_cast<float>(uint64_t{1} << (2 * layout_.ex_bits()));
  noise_ = .23f * table;
  ex_noise_ = gain * (.33f * table + .44f * linear);
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
          std::sqrt(distance_sq + ex_noise_)};
}

float PreparedQuery::ListDistance(const QueryTerms& terms) const {
  if (space_.estimator() == quant::Estimator::kInnerProduct) return terms.add;
  return std::sqrt(std::max(terms.add, 0.0f));
}

}  // namespace vdb::index
