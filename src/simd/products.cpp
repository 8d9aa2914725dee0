// Products of the int8 query: with ex codes and with centroids.
#include <algorithm>
#include <cstring>

#include "simd/scan.h"
#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/bytes-inl.h"
#include "simd/float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kGroup = 16;      // centroids interleaved with each other
inline constexpr size_t kStepBytes = 64;  // 4 dimensions of a group

// Ex codes of kBits bits are parts of 4, 2 and 1 bits, highest first (quant/code_layout.h).
template <uint32_t kBits>
struct Parts {
  static constexpr uint32_t kFour = kBits / 4, kTwo = kBits / 2 % 2, kOne = kBits % 2;
  static constexpr size_t TwoOffset(size_t dim) { return kFour * dim / 2; }
  static constexpr size_t OneOffset(size_t dim) { return TwoOffset(dim) + kTwo * dim / 4; }
};

#if HWY_TARGET == HWY_SCALAR

template <uint32_t kBits>
HWY_INLINE int32_t ExSum(const uint8_t* codes, const int8_t* q8, size_t dim) {
  using P = Parts<kBits>;
  int32_t sum = 0;
  const auto part = [&](size_t offset, size_t width, size_t i) {
    const size_t x = i % 64;
    return codes[offset + i / 64 * 8 * width + x % (8 * width)] >> (x / (8 * width) * width) &
           ((1 << width) - 1);
  };
  for (size_t i = 0; i < dim; ++i) {
    int32_t e = 0;
    if (P::kFour != 0) e = part(0, 4, i);
    if (P::kTwo != 0) e = e * 4 + part(P::TwoOffset(dim), 2, i);
    if (P::kOne != 0) e = e * 2 + part(P::OneOffset(dim), 1, i);
    sum += e * q8[i];
  }
  return sum;
}

void RankOf(const int8_t* q8, const int8_t* interleaved, const int32_t*, size_t n, size_t dim,
            int32_t* out) {
  for (size_t g = 0; g * kGroup < n; ++g) {
    int32_t* sums = out + g * kGroup;
    std::fill_n(sums, kGroup, 0);
    const int8_t* centroids = interleaved + g * dim * kGroup;
    for (size_t j = 0; j < dim; j += 4) {
      for (size_t c = 0; c < kGroup; ++c) {
        for (size_t k = 0; k < 4; ++k) {
          sums[c] += q8[j + k] * centroids[j * kGroup + c * 4 + k];
        }
      }
    }
  }
}

#else

// Dimensions [64 * m + at, + kByteLanes) of a part: p are the part's bytes of these 64 dimensions.
// The 64-bit lane of dimensions 8L .. 8L+7 holds word L % kWidth of them, shifted L / kWidth times.
template <uint32_t kWidth>
HWY_INLINE ByteVec LoadPart(const uint8_t* p, size_t at) {
  const ByteTag d8;
  const hn::Repartition<uint64_t, ByteTag> d64;
  constexpr size_t kBytes = 8 * kWidth;
  ByteVec words;
  if constexpr (kWidth == 1) {
    uint64_t word;
    std::memcpy(&word, p, sizeof word);
    words = hn::BitCast(d8, hn::Set(d64, word));
  } else if constexpr (kByteLanes <= kBytes) {
    words = hn::LoadU(d8, p + at % kBytes);
  } else if constexpr (kWidth == 2) {
    words = hn::LoadDup128(d8, p);
  } else {
#if HWY_CAP_GE512
    words =
        ByteVec{_mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
#endif
  }
  alignas(64) static constexpr uint64_t kShifts[8] = {0,
                                                      1 / kWidth * kWidth,
                                                      2 / kWidth * kWidth,
                                                      3 / kWidth * kWidth,
                                                      4 / kWidth * kWidth,
                                                      5 / kWidth * kWidth,
                                                      6 / kWidth * kWidth,
                                                      7 / kWidth * kWidth};
  // Bits of a neighbouring byte that the 64-bit shift brings in lie above the mask.
  const auto shifted = hn::Shr(hn::BitCast(d64, words), hn::Load(d64, kShifts + at / 8));
  return hn::And(hn::BitCast(d8, shifted), hn::Set(d8, uint8_t{(1 << kWidth) - 1}));
}

template <int kCount>
HWY_INLINE ByteVec ShiftBytesLeft(ByteVec v) {  // what is shifted out must be zero
  const hn::Repartition<uint16_t, ByteTag> d16;
  return hn::BitCast(ByteTag(), hn::ShiftLeft<kCount>(hn::BitCast(d16, v)));
}

template <uint32_t kBits>
HWY_INLINE int32_t ExSum(const uint8_t* codes, const int8_t* q8, size_t dim) {
  using P = Parts<kBits>;
  const ByteTag d8;
  const SignedByteTag di8;
  const uint8_t* four = codes;
  const uint8_t* two = codes + P::TwoOffset(dim);
  const uint8_t* one = codes + P::OneOffset(dim);
  constexpr size_t kSteps = 64 / kByteLanes;
  IntVec sums[4];
  for (IntVec& sum : sums) sum = hn::Zero(IntTag());
  const auto step = [&](size_t i, size_t s) HWY_ATTR {
    for (size_t v = 0; v < kSteps; ++v) {
      const size_t at = v * kByteLanes;
      ByteVec e = hn::Zero(d8);
      if constexpr (P::kFour != 0) {
        e = ShiftBytesLeft<kBits - 4>(LoadPart<4>(four + i / 2, at));
      }
      if constexpr (P::kTwo != 0) {
        e = hn::Or(e, ShiftBytesLeft<P::kOne>(LoadPart<2>(two + i / 4, at)));
      }
      if constexpr (P::kOne != 0) e = hn::Or(e, LoadPart<1>(one + i / 8, at));
      IntVec& sum = sums[(s + v) % 4];
      sum = DotSmall(sum, e, hn::Load(di8, q8 + i + at));
    }
  };
  size_t i = 0;
  for (; i + 128 <= dim; i += 128) {
    step(i, 0);
    step(i + 64, kSteps);
  }
  if (i < dim) step(i, 0);
  const IntVec total = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(IntTag(), total));
}

// The query's operand for DotQuery. VNNI multiplies unsigned with signed: there it is q + 128, and
// FinishQuery takes 128 * sum of the centroid away again.
HWY_INLINE SignedByteVec LoadQuery(const int8_t* q) {
  uint32_t four;
  std::memcpy(&four, q, sizeof four);
#if HWY_TARGET == HWY_AVX3_DL
  four ^= 0x80808080u;
#endif
  const hn::Repartition<uint32_t, ByteTag> d32;
  return hn::BitCast(SignedByteTag(), hn::Set(d32, four));
}

HWY_INLINE IntVec DotQuery(IntVec sum, SignedByteVec query, SignedByteVec centroid) {
#if HWY_TARGET == HWY_AVX3_DL
  return IntVec{_mm512_dpbusd_epi32(sum.raw, query.raw, centroid.raw)};
#else
  return DotSigned(sum, query, centroid);
#endif
}

HWY_INLINE IntVec FinishQuery(IntVec sum, const int32_t* centroid_sums) {
#if HWY_TARGET == HWY_AVX3_DL
  return hn::Sub(sum, hn::ShiftLeft<7>(hn::Load(IntTag(), centroid_sums)));
#else
  (void)centroid_sums;
  return sum;
#endif
}

template <size_t kGroups>
HWY_INLINE void RankGroups(const int8_t* HWY_RESTRICT q8, const int8_t* HWY_RESTRICT groups,
                           const int32_t* centroid_sums, size_t dim, int32_t* out) {
  const SignedByteTag d8;
  constexpr size_t kVecs = kStepBytes / kByteLanes;
  IntVec sums[kGroups][kVecs];
  for (auto& group : sums) {
    for (IntVec& sum : group) sum = hn::Zero(IntTag());
  }
  for (size_t j = 0; j < dim; j += 4) {
    const SignedByteVec query = LoadQuery(q8 + j);
    for (size_t g = 0; g < kGroups; ++g) {
      const int8_t* step = groups + (g * dim + j) * kGroup;
      for (size_t v = 0; v < kVecs; ++v) {
        sums[g][v] = DotQuery(sums[g][v], query, hn::Load(d8, step + v * kByteLanes));
      }
    }
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t v = 0; v < kVecs; ++v) {
      const size_t at = g * kGroup + v * kByteLanes / 4;
      hn::StoreU(FinishQuery(sums[g][v], centroid_sums + at), IntTag(), out + at);
    }
  }
}

void RankOf(const int8_t* q8, const int8_t* interleaved, const int32_t* sums, size_t n, size_t dim,
            int32_t* out) {
  constexpr size_t kAtOnce = kByteLanes / 16;
  const size_t n_groups = (n + kGroup - 1) / kGroup;
  size_t g = 0;
  for (; g + kAtOnce <= n_groups; g += kAtOnce) {
    RankGroups<kAtOnce>(q8, interleaved + g * dim * kGroup, sums + g * kGroup, dim,
                        out + g * kGroup);
  }
  for (; g < n_groups; ++g) {
    RankGroups<1>(q8, interleaved + g * dim * kGroup, sums + g * kGroup, dim, out + g * kGroup);
  }
}

#endif

template <uint32_t kBits>
void ExDotsOfBits(const ScanQuery& query, const uint8_t* const* codes, size_t n, float* out) {
  const ScanQuery q = query;
  for (size_t r = 0; r < n; ++r) {
    out[r] = q.q8_step * static_cast<float>(ExSum<kBits>(codes[r], q.q8, q.dim));
  }
}

void ExDotsOf(const ScanQuery& q, const uint8_t* const* codes, size_t n, uint32_t ex_bits,
              float* out) {
  switch (ex_bits) {
    case 1:
      return ExDotsOfBits<1>(q, codes, n, out);
    case 2:
      return ExDotsOfBits<2>(q, codes, n, out);
    case 3:
      return ExDotsOfBits<3>(q, codes, n, out);
    case 4:
      return ExDotsOfBits<4>(q, codes, n, out);
    case 5:
      return ExDotsOfBits<5>(q, codes, n, out);
    case 6:
      return ExDotsOfBits<6>(q, codes, n, out);
    case 7:
      return ExDotsOfBits<7>(q, codes, n, out);
    default:
      return;
  }
}

float DotInt8Of(const float* q, const int8_t* c, size_t dim) {
  const FloatTag d;
  const hn::Rebind<int8_t, FloatTag> d8;
  const hn::RebindToSigned<FloatTag> d32;
  FloatVec sums[kSums];
  for (FloatVec& sum : sums) sum = hn::Zero(d);
  size_t i = 0;
  for (; i + kSums * kFloatLanes <= dim; i += kSums * kFloatLanes) {
    for (size_t s = 0; s < kSums; ++s) {
      const size_t at = i + s * kFloatLanes;
      const FloatVec wide = hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, c + at)));
      sums[s] = hn::MulAdd(hn::LoadU(d, q + at), wide, sums[s]);
    }
  }
  float total = Total(sums);
  for (; i < dim; ++i) total += q[i] * static_cast<float>(c[i]);
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(ExDotsOf);
HWY_EXPORT(RankOf);
HWY_EXPORT(DotInt8Of);

void ExDots(const ScanQuery& q, const uint8_t* const* ex_codes, size_t n, uint32_t ex_bits,
            float* out) noexcept {
  HWY_DYNAMIC_DISPATCH(ExDotsOf)(q, ex_codes, n, ex_bits, out);
}

void InterleaveCentroids(const int8_t* rows, size_t n, size_t dim, int8_t* interleaved,
                         int32_t* sums) noexcept {
  constexpr size_t kGroup = 16;
  const size_t padded = (n + kGroup - 1) / kGroup * kGroup;
  for (size_t i = 0; i < padded; ++i) {
    int8_t* to = interleaved + i / kGroup * dim * kGroup + i % kGroup * 4;
    int32_t sum = 0;
    for (size_t j = 0; j < dim; j += 4, to += kGroup * 4) {
      if (i >= n) {
        std::memset(to, 0, 4);
        continue;
      }
      const int8_t* from = rows + i * dim + j;
      std::memcpy(to, from, 4);
      sum += from[0] + from[1] + from[2] + from[3];
    }
    sums[i] = sum;
  }
}

void RankCentroids(const int8_t* q8, const int8_t* interleaved, const int32_t* sums, size_t n,
                   size_t dim, int32_t* out) noexcept {
  HWY_DYNAMIC_DISPATCH(RankOf)(q8, interleaved, sums, n, dim, out);
}

float DotInt8(const float* q, const int8_t* c, size_t dim) noexcept {
  return HWY_DYNAMIC_DISPATCH(DotInt8Of)(q, c, dim);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
