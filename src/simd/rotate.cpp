#include "simd/rotate.h"

#include <bit>
#include <cstring>

#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/rotate.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);

// Butterflies within one vector: lane i meets lane i ^ h for h = 1, 2, 4, ... < kFloatLanes. The
// lane with bit h set gets the difference. signs[s] is -1 in such lanes of stage s, else 1; a
// product with it is exact, so a fused multiply-add changes nothing.
HWY_INLINE FloatVec InnerStages(FloatVec v, const FloatVec* signs) {
#if HWY_TARGET == HWY_SCALAR
  (void)signs;
#else
  v = hn::MulAdd(v, signs[0], hn::Shuffle2301(v));
  v = hn::MulAdd(v, signs[1], hn::Shuffle1032(v));
#if HWY_CAP_GE256
  v = hn::MulAdd(v, signs[2], hn::SwapAdjacentBlocks(v));
#endif
#if HWY_CAP_GE512
  v = hn::MulAdd(v, signs[3], hn::ConcatLowerUpper(FloatTag(), v, v));
#endif
#endif
  return v;
}

// Two stages over four vectors: 0 with 1 and 2 with 3, then 0 with 2 and 1 with 3.
HWY_INLINE void TwoStages(FloatVec& v0, FloatVec& v1, FloatVec& v2, FloatVec& v3) {
  const FloatVec a = hn::Add(v0, v1), b = hn::Sub(v0, v1);
  const FloatVec c = hn::Add(v2, v3), d = hn::Sub(v2, v3);
  v0 = hn::Add(a, c);
  v1 = hn::Add(b, d);
  v2 = hn::Sub(a, c);
  v3 = hn::Sub(b, d);
}

// x = Hadamard(x * factors), not normalised; t is a power of two and at least 64.
HWY_INLINE void FlipAndTransform(float* HWY_RESTRICT x, const float* HWY_RESTRICT factors,
                                 size_t t) {
  const FloatTag d;
  constexpr size_t kL = kFloatLanes;
  FloatVec signs[4];
  for (size_t s = 0; s < 4; ++s) {
    HWY_ALIGN float lanes[kL];
    for (size_t i = 0; i < kL; ++i) lanes[i] = (i >> s & 1) != 0 ? -1.0f : 1.0f;
    signs[s] = hn::Load(d, lanes);
  }
  for (size_t i = 0; i < t; i += 4 * kL) {
    FloatVec v[4];
    for (size_t k = 0; k < 4; ++k) {
      v[k] = InnerStages(hn::Mul(hn::Load(d, x + i + k * kL), hn::LoadU(d, factors + i + k * kL)),
                         signs);
    }
    TwoStages(v[0], v[1], v[2], v[3]);
    for (size_t k = 0; k < 4; ++k) hn::Store(v[k], d, x + i + k * kL);
  }
  size_t h = 4 * kL;
  for (; 4 * h <= t; h *= 4) {
    for (size_t base = 0; base < t; base += 4 * h) {
      for (size_t i = base; i < base + h; i += kL) {
        FloatVec v0 = hn::Load(d, x + i), v1 = hn::Load(d, x + i + h);
        FloatVec v2 = hn::Load(d, x + i + 2 * h), v3 = hn::Load(d, x + i + 3 * h);
        TwoStages(v0, v1, v2, v3);
        hn::Store(v0, d, x + i);
        hn::Store(v1, d, x + i + h);
        hn::Store(v2, d, x + i + 2 * h);
        hn::Store(v3, d, x + i + 3 * h);
      }
    }
  }
  if (h < t) {
    for (size_t i = 0; i < h; i += kL) {
      const FloatVec a = hn::Load(d, x + i), b = hn::Load(d, x + i + h);
      hn::Store(hn::Add(a, b), d, x + i);
      hn::Store(hn::Sub(a, b), d, x + i + h);
    }
  }
}

HWY_INLINE void Flip(float* HWY_RESTRICT x, const float* HWY_RESTRICT factors, size_t n) {
  const FloatTag d;
  for (size_t i = 0; i < n; i += kFloatLanes) {
    hn::Store(hn::Mul(hn::Load(d, x + i), hn::LoadU(d, factors + i)), d, x + i);
  }
}

HWY_INLINE void MixHalves(float* x, size_t half, float scale) {
  const FloatTag d;
  const FloatVec factor = hn::Set(d, scale);
  for (size_t i = 0; i < half; i += kFloatLanes) {
    const FloatVec a = hn::Load(d, x + i), b = hn::Load(d, x + i + half);
    hn::Store(hn::Mul(hn::Add(a, b), factor), d, x + i);
    hn::Store(hn::Mul(hn::Sub(a, b), factor), d, x + i + half);
  }
}

void RotateOf(const float* in, size_t dim, size_t padded, const float* factors, float* out) {
  std::memcpy(out, in, dim * sizeof(float));
  std::memset(out + dim, 0, (padded - dim) * sizeof(float));
  const size_t t = std::bit_floor(padded);
  for (size_t round = 0; round < 4; ++round, factors += padded) {
    const size_t start = round % 2 == 0 ? 0 : padded - t;
    Flip(out, factors, start);
    FlipAndTransform(out + start, factors + start, t);
    Flip(out + start + t, factors + start + t, padded - t - start);
    // Rounds 1 to 3 have the mixing's 1/sqrt 2 in their factors.
    if (t < padded) MixHalves(out, padded / 2, round == 3 ? 0.70710678118654752f : 1.0f);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(RotateOf);

void RotateKac(const float* in, size_t dim, size_t padded, const float* factors,
               float* out) noexcept {
  HWY_DYNAMIC_DISPATCH(RotateOf)(in, dim, padded, factors, out);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
