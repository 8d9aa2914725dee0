/// RaBitQ codes with 1 to 8 bits: encoding rows about a centroid, packing blocks, reading
/// estimates. Source: Gao & Long, RaBitQ, SIGMOD 2024; Gao et al., SIGMOD 2025.
#pragma once

#include <cstdint>
#include <span>

#include "base/metric.h"
#include "quant/code_layout.h"
#include "simd/scan.h"

namespace vdb::quant {

/// Width of the error bound in standard deviations. 1.9 leaves 2.9 % of true distances below the
/// bound.
inline constexpr float kErrorSigmas = 1.9f;

/// The same for what rounding a query adds to an estimate. Rows that lie on a line (one dimension,
/// or one that dominates) have one code and its reverse: then the roundings are the same for all of
/// them, and a bound that one row is below is one that half a list is below.
inline constexpr float kRoundingSigmas = 3.5f;

/// Which estimate the factors serve. kL2: squared L2. kInnerProduct: -<q, o>.
/// Cosine is kL2 over normalised vectors; L1 has kL2 codes.
enum class Estimator : uint8_t { kL2, kInnerProduct };

class Encoder {
 public:
  Encoder(CodeLayout layout, Estimator estimator, float error_sigmas = kErrorSigmas);

  const CodeLayout& layout() const { return layout_; }

  /// Encodes `vector` (rotated, centred) about `centroid`; both (dim,) 64-byte aligned. Writes
  /// layout.row_bytes() bytes to row. A vector equal to its centroid gives zero rescale and error
  /// factors, never NaN; one whose factors a float cannot hold gets a bound below everything. f_add
  /// is computed with the rounded f_rescale, so that rounding it costs no bias about the centroid;
  /// f_error covers what it costs elsewhere.
  void Encode(const float* vector, const float* centroid, uint8_t* row) const;
  /// Only the first part (1 bit), layout.first_bytes() bytes.
  void EncodeFirst(const float* vector, const float* centroid, uint8_t* row) const;

 private:
  CodeLayout layout_;
  Estimator estimator_;
  float error_sigmas_;
};

/// Transposes the first parts of n <= 32 row codes, `stride` bytes apart, into one block
/// (block_bytes). Unused lanes get f_add = 3e38 and zero codes and factors.
void PackBlock(const CodeLayout& layout, const uint8_t* rows, size_t stride, size_t n,
               uint8_t* block);

/// The row code's first part of one lane of a block: PackBlock's inverse, for checks and
/// compaction.
void UnpackLane(const CodeLayout& layout, const uint8_t* block, uint32_t lane, uint8_t* first_part);

struct Estimate {
  float value, error;  // |truth - value| <= error with the probability that error_sigmas stands for
};

/// The estimate from all bits: ex record `ex`, and the survivor's 1-bit product `ip`. The error
/// also covers the rounding of the query in `q`, at kRoundingSigmas. g_add, g_error: the list's
/// query terms (index/query_terms in index/query.h).
Estimate ExEstimate(const CodeLayout& layout, const simd::ScanQuery& q, const uint8_t* ex, float ip,
                    float g_add, float g_error) noexcept;

}  // namespace vdb::quant
