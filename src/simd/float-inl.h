// Per-target helpers for loops over float and half inputs of any length. Included once for each
// target, after hwy/highway.h.
#include "base/half.h"

#if defined(VDB_SIMD_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VDB_SIMD_FLOAT_INL_H_
#undef VDB_SIMD_FLOAT_INL_H_
#else
#define VDB_SIMD_FLOAT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);

// Enough independent sums to cover the latency of a multiply-add, and at least 16 of them, so that
// sums over 16,000 dimensions keep their relative error on narrow targets too.
inline constexpr size_t kSums = kFloatLanes >= 4 ? 4 : 16 / kFloatLanes;

HWY_INLINE FloatVec LoadVec(FloatTag d, const float* p) { return hn::LoadU(d, p); }

// Highway 1.0.3's own conversion for SSSE3 and SCALAR turns infinity into 65536.
HWY_INLINE FloatVec LoadVec(FloatTag d, const Half* p) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, vdb::HalfToFloat(*p));
#elif HWY_TARGET == HWY_SSSE3
  const hn::RebindToUnsigned<FloatTag> du;
  const hn::Rebind<uint16_t, FloatTag> d16;
  const auto wide = hn::PromoteTo(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  const auto magnitude = hn::ShiftLeft<13>(hn::And(wide, hn::Set(du, 0x7fffu)));
  const auto sign = hn::ShiftLeft<16>(hn::And(wide, hn::Set(du, 0x8000u)));
  // Multiplying by 2^112 moves the exponent to its place, and normalises subnormal numbers too.
  const auto scaled = hn::BitCast(du, hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112f)));
  // A half's largest finite number, 65504, comes out under 2^16; infinity and NaN do not.
  const auto special = hn::IfThenElseZero(hn::Ge(hn::BitCast(d, scaled), hn::Set(d, 0x1p16f)),
                                          hn::BitCast(d, hn::Set(du, 0x7f800000u)));
  return hn::BitCast(d, hn::Or(hn::Or(scaled, hn::BitCast(du, special)), sign));
#else
  const hn::Rebind<hwy::float16_t, FloatTag> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
#endif
}

// The first `n` < kFloatLanes numbers, then zeros; does not read past them.
template <class T>
HWY_INLINE FloatVec LoadPartial(FloatTag d, const T* p, size_t n) {
#if HWY_TARGET == HWY_AVX2 || !HWY_MEM_OPS_MIGHT_FAULT
  if constexpr (sizeof(T) == sizeof(float)) return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#endif
  T padded[kFloatLanes] = {};
  for (size_t i = 0; i < n; ++i) padded[i] = p[i];
  return LoadVec(d, padded);
}

// Calls step(a, b, sums) for the whole length: kSums vectors at a time, then one by one.
template <class A, class B, class Step>
HWY_INLINE void ForEachVec(const A* a, const B* b, size_t n, Step step) {
  const FloatTag d;
  size_t i = 0;
  for (; i + kSums * kFloatLanes <= n; i += kSums * kFloatLanes) {
    for (size_t s = 0; s < kSums; ++s) {
      const size_t at = i + s * kFloatLanes;
      step(LoadVec(d, a + at), LoadVec(d, b + at), s);
    }
  }
  // The sum's number stays a constant here, or the sums would have to live in memory.
  for (size_t s = 0; s < kSums; ++s) {
    if (i + kFloatLanes > n) break;
    step(LoadVec(d, a + i), LoadVec(d, b + i), s);
    i += kFloatLanes;
  }
  if (i < n) step(LoadPartial(d, a + i, n - i), LoadPartial(d, b + i, n - i), 0);
}

HWY_INLINE float Total(const FloatVec* sums) {
  const FloatTag d;
  FloatVec tree[kSums];
  for (size_t s = 0; s < kSums; ++s) tree[s] = sums[s];
  for (size_t width = kSums / 2; width > 0; width /= 2) {
    for (size_t s = 0; s < width; ++s) tree[s] = hn::Add(tree[s], tree[s + width]);
  }
  return hn::GetLane(hn::SumOfLanes(d, tree[0]));
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#endif
