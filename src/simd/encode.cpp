#include "simd/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/encode.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);

ResidualSums SignsOf(const float* vector, const float* centroid, size_t dim, uint8_t* bits) {
  const FloatTag d;
  const FloatVec zero = hn::Zero(d);
  // Two sums each, so that one addition need not wait for the one before.
  FloatVec norm_sq[2] = {zero, zero}, abs_sum[2] = {zero, zero}, max_abs[2] = {zero, zero};
  FloatVec dot[2] = {zero, zero}, sign_sum[2] = {zero, zero};
  for (size_t first = 0; first < dim; first += 64) {
    uint64_t word = 0;
    for (size_t i = 0; i < 64; i += kFloatLanes) {
      const size_t s = i / kFloatLanes % 2;
      const FloatVec c = hn::Load(d, centroid + first + i);
      const FloatVec r = hn::Sub(hn::Load(d, vector + first + i), c);
      const FloatVec magnitude = hn::Abs(r);
      const auto positive = hn::Gt(r, zero);
      norm_sq[s] = hn::MulAdd(r, r, norm_sq[s]);
      abs_sum[s] = hn::Add(abs_sum[s], magnitude);
      max_abs[s] = hn::Max(max_abs[s], magnitude);
      dot[s] = hn::MulAdd(r, c, dot[s]);
      sign_sum[s] = hn::Add(sign_sum[s], hn::IfThenElse(positive, c, hn::Neg(c)));
      uint64_t lanes = 0;
      hn::StoreMaskBits(d, positive, reinterpret_cast<uint8_t*>(&lanes));
      word |= lanes << i;
    }
    std::memcpy(bits + first / 8, &word, sizeof word);
  }
  const auto total = [d](const FloatVec* sums) HWY_ATTR {
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(sums[0], sums[1])));
  };
  return {total(norm_sq), total(abs_sum),
          hn::GetLane(hn::MaxOfLanes(d, hn::Max(max_abs[0], max_abs[1]))), total(dot),
          total(sign_sum)};
}

inline constexpr size_t kScalesAtOnce = 4;

// fit[k] = cosine of |r| with floor(scale[k] |r|) + 1/2, but for a common factor.
HWY_INLINE void FitOfScales(const float* vector, const float* centroid, size_t dim, float max_level,
                            const float* scale, float* fit) {
  const FloatTag d;
  const FloatVec half = hn::Set(d, 0.5f), top = hn::Set(d, max_level);
  FloatVec dot[kScalesAtOnce], norm_sq[kScalesAtOnce];
  for (size_t k = 0; k < kScalesAtOnce; ++k) dot[k] = norm_sq[k] = hn::Zero(d);
  for (size_t i = 0; i < dim; i += kFloatLanes) {
    const FloatVec r = hn::AbsDiff(hn::Load(d, vector + i), hn::Load(d, centroid + i));
    for (size_t k = 0; k < kScalesAtOnce; ++k) {
      const FloatVec level = hn::Floor(hn::Min(hn::Mul(r, hn::Set(d, scale[k])), top));
      const FloatVec x = hn::Add(level, half);
      dot[k] = hn::MulAdd(x, r, dot[k]);
      norm_sq[k] = hn::MulAdd(x, x, norm_sq[k]);
    }
  }
  for (size_t k = 0; k < kScalesAtOnce; ++k) {
    fit[k] = hn::GetLane(hn::SumOfLanes(d, dot[k])) /
             std::sqrt(hn::GetLane(hn::SumOfLanes(d, norm_sq[k])));
  }
}

float BestScaleOf(const float* vector, const float* centroid, size_t dim, uint32_t max_level,
                  float low, float high) {
  constexpr size_t kCandidates = 8;
  float best_scale = low, best_fit = -1;
  // First over the whole range, then between the neighbours of the best.
  for (int pass = 0; pass < 2; ++pass) {
    const float ratio = std::pow(high / low, 1.0f / (kCandidates - 1));
    float scale[kCandidates], fit[kCandidates];
    scale[0] = low;
    for (size_t k = 1; k < kCandidates; ++k) scale[k] = scale[k - 1] * ratio;
    for (size_t k = 0; k < kCandidates; k += kScalesAtOnce) {
      FitOfScales(vector, centroid, dim, static_cast<float>(max_level), scale + k, fit + k);
    }
    for (size_t k = 0; k < kCandidates; ++k) {
      if (fit[k] > best_fit) {
        best_fit = fit[k];
        best_scale = scale[k];
      }
    }
    // Steps of the second pass are 2/9 of the first one's; the middle is known already.
    low = best_scale * std::pow(ratio, -7.0f / 9);
    high = best_scale * std::pow(ratio, 7.0f / 9);
  }
  return best_scale;
}

template <uint32_t kWidth>
HWY_INLINE void PackPart(const uint64_t* e, uint32_t shift, uint8_t* out) {
  constexpr uint64_t kMask = 0x0101010101010101u * ((1u << kWidth) - 1);
  for (uint32_t word = 0; word < kWidth; ++word) {
    uint64_t packed = 0;
    for (uint32_t k = 0; k < 8 / kWidth; ++k) {
      packed |= (e[word + k * kWidth] >> shift & kMask) << (k * kWidth);
    }
    std::memcpy(out + word * 8, &packed, sizeof packed);
  }
}

ExSums ExtraOf(const float* vector, const float* centroid, size_t dim, uint32_t ex_bits,
               float scale, uint8_t* codes) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> d32;
  const hn::Rebind<uint8_t, FloatTag> d8;
  const FloatVec half = hn::Set(d, 0.5f);
  const FloatVec top = hn::Set(d, static_cast<float>((1u << ex_bits) - 1));
  const FloatVec factor = hn::Set(d, scale);
  FloatVec dot = hn::Zero(d), norm_sq = dot, dot_centroid = dot;
  uint8_t* four = codes;
  uint8_t* two = four + (ex_bits / 4) * dim / 2;
  uint8_t* one = two + (ex_bits / 2 % 2) * dim / 4;
  for (size_t first = 0; first < dim; first += 64) {
    alignas(64) uint8_t e[64];
    for (size_t i = 0; i < 64; i += kFloatLanes) {
      const FloatVec c = hn::Load(d, centroid + first + i);
      const FloatVec r = hn::Sub(hn::Load(d, vector + first + i), c);
      const auto positive = hn::Gt(r, hn::Zero(d));
      const FloatVec level = hn::Floor(hn::Min(hn::Mul(hn::Abs(r), factor), top));
      const FloatVec magnitude = hn::Add(level, half);
      const FloatVec x = hn::IfThenElse(positive, magnitude, hn::Neg(magnitude));
      dot = hn::MulAdd(x, r, dot);
      norm_sq = hn::MulAdd(x, x, norm_sq);
      dot_centroid = hn::MulAdd(x, c, dot_centroid);
      const FloatVec code = hn::IfThenElse(positive, level, hn::Sub(top, level));
      hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(d32, code)), d8, e + i);
    }
    uint64_t words[8];
    std::memcpy(words, e, sizeof words);
    if ((ex_bits & 4) != 0) PackPart<4>(words, ex_bits - 4, four + first / 2);
    if ((ex_bits & 2) != 0) PackPart<2>(words, ex_bits & 1, two + first / 4);
    if ((ex_bits & 1) != 0) PackPart<1>(words, 0, one + first / 8);
  }
  return {hn::GetLane(hn::SumOfLanes(d, dot)), hn::GetLane(hn::SumOfLanes(d, norm_sq)),
          hn::GetLane(hn::SumOfLanes(d, dot_centroid))};
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(SignsOf);
HWY_EXPORT(BestScaleOf);
HWY_EXPORT(ExtraOf);

ResidualSums EncodeSigns(const float* vector, const float* centroid, size_t dim,
                         uint8_t* bits) noexcept {
  return HWY_DYNAMIC_DISPATCH(SignsOf)(vector, centroid, dim, bits);
}

float BestScale(const float* vector, const float* centroid, size_t dim, uint32_t max_level,
                const ResidualSums& sums) noexcept {
  // Steps, in standard deviations, of the best uniform quantiser of normal numbers into
  // 2 * (max_level + 1) values (Max, 1960), which rotated residuals are close to.
  constexpr float kNormalStep[] = {0.9957f, 0.5860f, 0.3352f, 0.1881f, 0.1041f, 0.0569f, 0.0308f};
  uint32_t ex_bits = 1;
  while ((1u << ex_bits) - 1 < max_level) ++ex_bits;
  const float deviation = std::sqrt(sums.norm_sq / static_cast<float>(dim));
  const float unclipped = (static_cast<float>(max_level) + 0.5f) / sums.max_abs;
  const float normal = 1 / (kNormalStep[ex_bits - 1] * deviation);
  // A scale that cuts nothing off is the least that makes sense; heavy tails want more than what
  // is right for normal numbers, light ones less.
  const float low = unclipped * 0.9f;
  // A lone large value among many small ones is sqrt(16000) deviations at most; the limit is for
  // deviations that round to zero.
  const float high = std::clamp(normal * 1.3f, unclipped * 1.1f, unclipped * 256);
  return HWY_DYNAMIC_DISPATCH(BestScaleOf)(vector, centroid, dim, max_level, low, high);
}

ExSums EncodeExtra(const float* vector, const float* centroid, size_t dim, uint32_t ex_bits,
                   float scale, uint8_t* codes) noexcept {
  return HWY_DYNAMIC_DISPATCH(ExtraOf)(vector, centroid, dim, ex_bits, scale, codes);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
