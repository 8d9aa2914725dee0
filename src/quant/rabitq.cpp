#include "quant/rabitq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "quant/ex_estimator.h"
#include "simd/encode.h"

namespace vdb::quant {
namespace {

constexpr float kLargest = 3e38f;  // finite also as a bfloat16

struct Factors {
  float add, rescale, error;
};

/// What the integers x of a code say about the residual r; x are the sign bits' +-1/2 or, with ex
/// codes, +-(e + 1/2).
struct CodeSums {
  double norm_sq;         // |r|^2
  double residual_dot_c;  // <r, c>
  double dot_residual;    // <r, x>
  double x_norm_sq;       // |x|^2
  double dot_centroid;    // <c, x>
};

Factors ComputeFactors(const CodeSums& s, Estimator estimator, size_t dim, double sigmas,
                       bool bfloat) {
  const double scale = estimator == Estimator::kL2 ? 2 : 1;
  const double base = estimator == Estimator::kL2 ? s.norm_sq : -s.residual_dot_c;
  // A vector equal to its centroid: the code says nothing, and nothing is left to estimate.
  if (s.norm_sq == 0 || s.dot_residual == 0) return {static_cast<float>(base), 0, 0};
  const double rescale = -scale * s.norm_sq / s.dot_residual;
  const float rescale32 = static_cast<float>(rescale);
  const float rounded = bfloat ? BfloatToFloat(FloatToBfloat(rescale32)) : rescale32;
  const double add = base - rounded * s.dot_centroid;
  const double sine_sq =
      std::max(0.0, s.norm_sq * s.x_norm_sq / (s.dot_residual * s.dot_residual) - 1);
  // Rounding f_rescale stretches <r, q - c> by `stretch`: independent of the code's own error.
  const double stretch = rescale == 0 ? 0 : rounded / rescale - 1;
  const double error =
      scale * std::sqrt(s.norm_sq) *
      std::sqrt(sigmas * sigmas * sine_sq / static_cast<double>(dim - 1) + stretch * stretch);
  const bool usable =
      std::fabs(add) < kLargest && std::fabs(rounded) < kLargest && error < kLargest;
  // Beyond the range of float there is no estimate: a bound below everything leaves the row to the
  // exact distance.
  if (!usable) return {0, 0, kLargest};
  return {static_cast<float>(add), rounded, static_cast<float>(error)};
}

void WriteShortFactors(const Factors& f, uint8_t* out) {
  const uint16_t rescale = FloatToBfloat(f.rescale), error = FloatToBfloatUp(f.error);
  std::memcpy(out, &f.add, 4);
  std::memcpy(out + 4, &rescale, 2);
  std::memcpy(out + 6, &error, 2);
}

constexpr uint32_t kHalfBlock = kBlockVectors / 2;

// The byte of a group that holds `lane` (of either half), and the other way round.
constexpr uint32_t ByteOf(uint32_t lane) { return lane < 8 ? 2 * lane : 2 * (lane - 8) + 1; }
constexpr uint32_t LaneOf(uint32_t byte) { return byte % 2 * 8 + byte / 2; }

}  // namespace

Encoder::Encoder(CodeLayout layout, Estimator estimator, float error_sigmas)
    : layout_(layout), estimator_(estimator), error_sigmas_(error_sigmas) {}

void Encoder::EncodeFirst(const float* vector, const float* centroid, uint8_t* row) const {
  CodeLayout first = layout_;
  first.bits = 1;
  Encoder(first, estimator_, error_sigmas_).Encode(vector, centroid, row);
}

void Encoder::Encode(const float* vector, const float* centroid, uint8_t* row) const {
  const size_t dim = layout_.dim;
  const simd::ResidualSums sums = simd::EncodeSigns(vector, centroid, dim, row + 8);
  CodeSums code = {sums.norm_sq, sums.dot_centroid, sums.abs_sum * 0.5,
                   static_cast<double>(dim) * 0.25, sums.sign_centroid * 0.5};
  WriteShortFactors(ComputeFactors(code, estimator_, dim, error_sigmas_, true), row);
  if (layout_.bits == 1) return;

  const uint32_t ex_bits = layout_.ex_bits();
  uint8_t* ex = row + layout_.first_bytes();
  uint8_t* ex_codes = ex + layout_.ex_factor_bytes();
  const float scale =
      sums.norm_sq > 0 ? simd::BestScale(vector, centroid, dim, (1u << ex_bits) - 1, sums) : 0;
  const simd::ExSums extra = simd::EncodeExtra(vector, centroid, dim, ex_bits, scale, ex_codes);
  code.dot_residual = extra.dot_residual;
  code.x_norm_sq = extra.norm_sq;
  code.dot_centroid = extra.dot_centroid;
  const bool bfloat = layout_.bits <= 5;
  const Factors f = ComputeFactors(code, estimator_, dim, error_sigmas_, bfloat);
  if (bfloat) {
    WriteShortFactors(f, ex);
  } else {
    std::memcpy(ex, &f, sizeof f);
  }
}

void PackBlock(const CodeLayout& layout, const uint8_t* rows, size_t stride, size_t n,
               uint8_t* block) {
  float f_add[kBlockVectors];
  uint16_t f_rescale[kBlockVectors] = {}, f_error[kBlockVectors] = {};
  std::fill_n(f_add, kBlockVectors, kLargest);
  for (size_t i = 0; i < n; ++i) {
    std::memcpy(&f_add[i], rows + i * stride, 4);
    std::memcpy(&f_rescale[i], rows + i * stride + 4, 2);
    std::memcpy(&f_error[i], rows + i * stride + 6, 2);
  }
  for (size_t b = 0; b < layout.dim / 8; ++b) {
    uint8_t* groups = block + b * 32;
    for (uint32_t k = 0; k < kHalfBlock; ++k) {
      const size_t low = LaneOf(k), high = low + kHalfBlock;
      const uint32_t low_byte = low < n ? rows[low * stride + 8 + b] : 0;
      const uint32_t high_byte = high < n ? rows[high * stride + 8 + b] : 0;
      groups[k] = static_cast<uint8_t>((low_byte & 15) | (high_byte & 15) << 4);
      groups[kHalfBlock + k] = static_cast<uint8_t>(low_byte >> 4 | (high_byte & 0xf0));
    }
  }
  uint8_t* factors = block + layout.block_code_bytes();
  std::memcpy(factors, f_add, sizeof f_add);
  std::memcpy(factors + sizeof f_add, f_rescale, sizeof f_rescale);
  std::memcpy(factors + sizeof f_add + sizeof f_rescale, f_error, sizeof f_error);
}

void UnpackLane(const CodeLayout& layout, const uint8_t* block, uint32_t lane,
                uint8_t* first_part) {
  const uint8_t* factors = block + layout.block_code_bytes();
  std::memcpy(first_part, factors + size_t{lane} * 4, 4);
  std::memcpy(first_part + 4, factors + kBlockVectors * 4 + size_t{lane} * 2, 2);
  std::memcpy(first_part + 6, factors + kBlockVectors * 6 + size_t{lane} * 2, 2);
  const uint32_t k = ByteOf(lane % kHalfBlock), shift = lane < kHalfBlock ? 0 : 4;
  for (size_t b = 0; b < layout.dim / 8; ++b) {
    const uint8_t* groups = block + b * 32;
    first_part[8 + b] = static_cast<uint8_t>((groups[k] >> shift & 15) |
                                             (groups[kHalfBlock + k] >> shift & 15) << 4);
  }
}

Estimate ExEstimate(const CodeLayout& layout, const simd::ScanQuery& q, const uint8_t* ex, float ip,
                    float g_add, float g_error) noexcept {
  return ExEstimator(layout, q)(ex, ip, g_add, g_error);
}

}  // namespace vdb::quant
