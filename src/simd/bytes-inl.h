// Per-target products of bytes, which Highway 1.0.3 has not. Included once for each target, after
// hwy/highway.h and before HWY_BEFORE_NAMESPACE.
#include <cstdint>

#if defined(VDB_SIMD_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VDB_SIMD_BYTES_INL_H_
#undef VDB_SIMD_BYTES_INL_H_
#else
#define VDB_SIMD_BYTES_INL_H_
#endif

// Highway selects AVX3_DL only on machines with AVX512_VNNI, but does not tell the compiler. It
// does say avxvnni, which such machines need not have: so only 512-bit products may be used here,
// since those have no AVX-VNNI encoding.
#if HWY_TARGET == HWY_AVX3_DL
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                                       \
  HWY_TARGET_STR_AVX3                                                        \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avxvnni,avx512vnni,avx512bitalg," \
  "avx512vpopcntdq"
#endif

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

using ByteTag = hn::ScalableTag<uint8_t>;
using SignedByteTag = hn::ScalableTag<int8_t>;
using IntTag = hn::ScalableTag<int32_t>;
using ByteVec = hn::Vec<ByteTag>;
using SignedByteVec = hn::Vec<SignedByteTag>;
using IntVec = hn::Vec<IntTag>;
inline constexpr size_t kByteLanes = HWY_LANES(uint8_t);

// sum + products of 4 neighbouring bytes in each 32-bit lane, for a in [-127, 127] and any b.
// SSSE3 runs the same code as NEON, so that tests on x86 cover it.
HWY_INLINE IntVec DotSigned(IntVec sum, SignedByteVec a, SignedByteVec b) {
#if HWY_TARGET == HWY_AVX2
  // The unsigned operand takes b's magnitude (128 for -128), the signed one its sign: a pair's sum
  // is at most 2 * 128 * 127, which 16 bits hold.
  const __m256i pairs =
      _mm256_maddubs_epi16(_mm256_abs_epi8(b.raw), _mm256_sign_epi8(a.raw, b.raw));
  return IntVec{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#else
  const hn::Repartition<int16_t, IntTag> d16;
  const auto a16 = hn::BitCast(d16, a), b16 = hn::BitCast(d16, b);
  const auto a_even = hn::ShiftRight<8>(hn::ShiftLeft<8>(a16)), a_odd = hn::ShiftRight<8>(a16);
  const auto b_even = hn::ShiftRight<8>(hn::ShiftLeft<8>(b16)), b_odd = hn::ShiftRight<8>(b16);
#if HWY_CAP_GE512
  sum = IntVec{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(a_even.raw, b_even.raw))};
  return IntVec{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(a_odd.raw, b_odd.raw))};
#else
  const IntTag d32;
  const auto pairs = hn::BitCast(d32, hn::Add(hn::Mul(a_even, b_even), hn::Mul(a_odd, b_odd)));
  return hn::Add(sum,
                 hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(pairs)), hn::ShiftRight<16>(pairs)));
#endif
#endif
}

// The same for small unsigned a, at most 127, and b in [-127, 127].
HWY_INLINE IntVec DotSmall(IntVec sum, ByteVec a, SignedByteVec b) {
#if HWY_TARGET == HWY_AVX3_DL
  return IntVec{_mm512_dpbusd_epi32(sum.raw, a.raw, b.raw)};
#elif HWY_CAP_GE512
  const __m512i pairs = _mm512_maddubs_epi16(a.raw, b.raw);
  return IntVec{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
#elif HWY_TARGET == HWY_AVX2
  const __m256i pairs = _mm256_maddubs_epi16(a.raw, b.raw);
  return IntVec{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#else
  return DotSigned(sum, hn::BitCast(SignedByteTag(), a), b);
#endif
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#endif
