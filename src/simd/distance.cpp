#include "simd/distance.h"

#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/distance.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

struct Sums {
  FloatVec v[kSums];
  Sums() {
    for (FloatVec& sum : v) sum = hn::Zero(FloatTag());
  }
};

template <class A, class B>
HWY_INLINE float L2SqOf(const A* a, const B* b, size_t n) {
  Sums sums;
  ForEachVec(a, b, n, [&](FloatVec x, FloatVec y, size_t s) HWY_ATTR {
    const FloatVec difference = hn::Sub(x, y);
    sums.v[s] = hn::MulAdd(difference, difference, sums.v[s]);
  });
  return Total(sums.v);
}

template <class A, class B>
HWY_INLINE float DotOf(const A* a, const B* b, size_t n) {
  Sums sums;
  ForEachVec(a, b, n, [&](FloatVec x, FloatVec y, size_t s) HWY_ATTR {
    sums.v[s] = hn::MulAdd(x, y, sums.v[s]);
  });
  return Total(sums.v);
}

template <class A, class B>
HWY_INLINE float L1Of(const A* a, const B* b, size_t n) {
  Sums sums;
  ForEachVec(a, b, n, [&](FloatVec x, FloatVec y, size_t s) HWY_ATTR {
    sums.v[s] = hn::Add(hn::AbsDiff(x, y), sums.v[s]);
  });
  return Total(sums.v);
}

template <class A, class B>
HWY_INLINE CosineParts CosineOf(const A* a, const B* b, size_t n) {
  Sums dot, aa, bb;
  ForEachVec(a, b, n, [&](FloatVec x, FloatVec y, size_t s) HWY_ATTR {
    dot.v[s] = hn::MulAdd(x, y, dot.v[s]);
    aa.v[s] = hn::MulAdd(x, x, aa.v[s]);
    bb.v[s] = hn::MulAdd(y, y, bb.v[s]);
  });
  return {Total(dot.v), Total(aa.v), Total(bb.v)};
}

float L2SqFF(const float* a, const float* b, size_t n) { return L2SqOf(a, b, n); }
float L2SqHH(const Half* a, const Half* b, size_t n) { return L2SqOf(a, b, n); }
float L2SqFH(const float* a, const Half* b, size_t n) { return L2SqOf(a, b, n); }
float DotFF(const float* a, const float* b, size_t n) { return DotOf(a, b, n); }
float DotHH(const Half* a, const Half* b, size_t n) { return DotOf(a, b, n); }
float DotFH(const float* a, const Half* b, size_t n) { return DotOf(a, b, n); }
float L1FF(const float* a, const float* b, size_t n) { return L1Of(a, b, n); }
float L1HH(const Half* a, const Half* b, size_t n) { return L1Of(a, b, n); }
float L1FH(const float* a, const Half* b, size_t n) { return L1Of(a, b, n); }
CosineParts CosineFF(const float* a, const float* b, size_t n) { return CosineOf(a, b, n); }
CosineParts CosineHH(const Half* a, const Half* b, size_t n) { return CosineOf(a, b, n); }
CosineParts CosineFH(const float* a, const Half* b, size_t n) { return CosineOf(a, b, n); }

void WidenHalves(const Half* in, float* out, size_t n) {
  const FloatTag d;
  size_t i = 0;
  for (; i + kFloatLanes <= n; i += kFloatLanes) hn::StoreU(LoadVec(d, in + i), d, out + i);
  for (; i < n; ++i) out[i] = vdb::HalfToFloat(in[i]);
}

void NarrowFloats(const float* in, Half* out, size_t n) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3
  const FloatTag d;
  const hn::Rebind<hwy::float16_t, FloatTag> d16;
  for (; i + kFloatLanes <= n; i += kFloatLanes) {
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, in + i)), d16,
               reinterpret_cast<hwy::float16_t*>(out + i));
  }
#endif
  for (; i < n; ++i) out[i] = vdb::FloatToHalf(in[i]);
}

const char* ThisTarget() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(L2SqFF);
HWY_EXPORT(L2SqHH);
HWY_EXPORT(L2SqFH);
HWY_EXPORT(DotFF);
HWY_EXPORT(DotHH);
HWY_EXPORT(DotFH);
HWY_EXPORT(L1FF);
HWY_EXPORT(L1HH);
HWY_EXPORT(L1FH);
HWY_EXPORT(CosineFF);
HWY_EXPORT(CosineHH);
HWY_EXPORT(CosineFH);
HWY_EXPORT(WidenHalves);
HWY_EXPORT(NarrowFloats);
HWY_EXPORT(ThisTarget);

float L2Sq(const float* a, const float* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L2SqFF)(a, b, n);
}
float L2Sq(const Half* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L2SqHH)(a, b, n);
}
float L2Sq(const float* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L2SqFH)(a, b, n);
}
float Dot(const float* a, const float* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(DotFF)(a, b, n);
}
float Dot(const Half* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(DotHH)(a, b, n);
}
float Dot(const float* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(DotFH)(a, b, n);
}
float L1(const float* a, const float* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L1FF)(a, b, n);
}
float L1(const Half* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L1HH)(a, b, n);
}
float L1(const float* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(L1FH)(a, b, n);
}
CosineParts Cosine(const float* a, const float* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(CosineFF)(a, b, n);
}
CosineParts Cosine(const Half* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(CosineHH)(a, b, n);
}
CosineParts Cosine(const float* a, const Half* b, size_t n) noexcept {
  return HWY_DYNAMIC_DISPATCH(CosineFH)(a, b, n);
}
void HalfToFloat(const Half* in, float* out, size_t n) noexcept {
  HWY_DYNAMIC_DISPATCH(WidenHalves)(in, out, n);
}
void FloatToHalf(const float* in, Half* out, size_t n) noexcept {
  HWY_DYNAMIC_DISPATCH(NarrowFloats)(in, out, n);
}
const char* TargetName() noexcept { return HWY_DYNAMIC_DISPATCH(ThisTarget)(); }

}  // namespace vdb::simd
#endif  // HWY_ONCE
