/// PreparedQuery: one query in the rotated space with its look-up table, and its terms about each
/// centroid. Buffers are kept from query to query.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "index/space.h"
#include "quant/code_layout.h"
#include "quant/ex_estimator.h"
#include "simd/scan.h"

namespace vdb::index {

/// What a list adds to its rows' estimates.
struct QueryTerms {
  float add;       // L2: |q - c|^2; inner product: -<q, c> + offset
  float error;     // multiplies f_error of first parts
  float ex_error;  // multiplies f_error of ex records
};

class PreparedQuery {
 public:
  PreparedQuery(const Space& space, quant::CodeLayout layout);

  /// vector (space.dim(),) in the user's values.
  void Prepare(const float* vector);

  const simd::ScanQuery& scan() const { return scan_; }
  /// For layouts of more than one bit.
  const quant::ExEstimator& ex_estimator() const { return ex_estimator_; }
  const float* values() const { return values_.data(); }
  float norm_sq() const { return norm_sq_; }
  float offset() const { return offset_; }

  /// Terms about the centroid scale * codes.
  QueryTerms Terms(const int8_t* codes, float scale, float centroid_norm_sq) const;
  /// Terms about the mean (a zero centroid), as delta rows have it.
  QueryTerms MeanTerms() const { return FromProduct(0, norm_sq_); }

 private:
  QueryTerms FromProduct(float product, float distance_sq) const;

  const Space& space_;
  quant::CodeLayout layout_;
  AlignedBuffer<float> values_;
  AlignedBuffer<uint8_t> table_;
  AlignedBuffer<int8_t> q8_;
  simd::ScanQuery scan_{};
  quant::ExEstimator ex_estimator_;
  float norm_sq_ = 0;
  float offset_ = 0;
  float noise_ = 0;  // the table's own error, in the units of distance_sq
};

}  // namespace vdb::index
