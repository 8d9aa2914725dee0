// The fast scan: ScanBlocks over transposed blocks, ScanRows over single row codes.
#include "simd/scan.h"

#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/half.h"
#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/scan.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/bytes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kLanes = 32;
inline constexpr size_t kFactorBytes = kLanes * 8;
// 1024 dimensions: 256 table values of at most 255 fit 16 bits.
inline constexpr size_t kPassBytes = 1024 * 4;
// How far ahead codes are fetched: from DRAM a third faster than by the hardware's prefetching
// alone, free from L2. What is fetched beyond the last block is often the next list.
inline constexpr size_t kPrefetchBytes = 2048;

// Blocks are scanned so many at a time, and their survivors collected after that: a branch on what
// a block holds would have to wait for the block to arrive from memory, and the next ones with it.
inline constexpr size_t kRunBlocks = 8;

/// What the lanes of a run of blocks come to, in order.
struct alignas(64) RunResult {
  float lower_bound[kRunBlocks * kLanes], estimate[kRunBlocks * kLanes], ip[kRunBlocks * kLanes];
  // Numbers of the lanes that survive; vectors are stored beyond their end.
  uint32_t survivors[kRunBlocks * kLanes + kLanes];
};

#if HWY_TARGET == HWY_SCALAR

template <bool kLong>
HWY_INLINE uint32_t ScanBlock(const ScanQuery& q, const uint8_t* block, float g_add, float g_error,
                              float tau, size_t first, RunResult* result) {
  uint32_t sums[kLanes] = {};
  const uint8_t* codes = block;
  for (size_t g = 0; g < q.dim / 4; ++g) {
    for (size_t k = 0; k < 16; ++k) {
      const size_t lane = k % 2 * 8 + k / 2;
      sums[lane] += q.table[g * 16 + codes[g * 16 + k] % 16];
      sums[lane + 16] += q.table[g * 16 + codes[g * 16 + k] / 16];
    }
  }
  float f_add[kLanes];
  uint16_t f_rescale[kLanes], f_error[kLanes];
  const uint8_t* factors = block + q.dim * 4;
  std::memcpy(f_add, factors, sizeof f_add);
  std::memcpy(f_rescale, factors + sizeof f_add, sizeof f_rescale);
  std::memcpy(f_error, factors + sizeof f_add + sizeof f_rescale, sizeof f_error);
  uint32_t under = 0;
  for (size_t i = 0; i < kLanes; ++i) {
    const float ip = q.step * static_cast<float>(sums[i]) + q.bias;
    const float estimate = f_add[i] + g_add + BfloatToFloat(f_rescale[i]) * (ip - q.sum * 0.5f);
    const float lower_bound = estimate - BfloatToFloat(f_error[i]) * g_error;
    under |= static_cast<uint32_t>(lower_bound < tau) << i;
    result->lower_bound[first + i] = lower_bound;
    result->estimate[first + i] = estimate;
    result->ip[first + i] = ip;
  }
  return under;
}

HWY_INLINE int32_t SignBitProduct(const uint8_t* bits, const int8_t* q8, size_t dim) {
  int32_t sum = 0;
  for (size_t i = 0; i < dim; ++i) sum += (bits[i / 8] >> (i % 8) & 1) * q8[i];
  return sum;
}

#else

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
using WordTag = hn::ScalableTag<uint16_t>;
using WordVec = hn::Vec<WordTag>;
using UintTag = hn::ScalableTag<uint32_t>;
using UintVec = hn::Vec<UintTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);
inline constexpr size_t kFloatVecs = kLanes / kFloatLanes;
inline constexpr size_t kWordVecs = kLanes / HWY_LANES(uint16_t);

// Sums of one pass (at most 1024 dimensions), lanes in order.
HWY_INLINE void SumPass(const uint8_t* HWY_RESTRICT codes, const uint8_t* HWY_RESTRICT table,
                        size_t bytes, WordVec* out) {
  const ByteTag d8;
  const WordTag d16;
  const ByteVec low_nibble = hn::Set(d8, uint8_t{15});
  // all_*: both bytes of each 16 bits together, the odd one counting 256-fold, modulo 65536;
  // odd_*: the odd bytes alone. The even ones come out at the end, for one operation less.
  WordVec all_low = hn::Zero(d16), odd_low = all_low, all_high = all_low, odd_high = all_low;
  const auto add = [&](size_t i) HWY_ATTR {
    if constexpr (kByteLanes >= 32) hwy::Prefetch(codes + i + kPrefetchBytes);
    const ByteVec code = hn::Load(d8, codes + i);
    const ByteVec entries = hn::Load(d8, table + i);
    const ByteVec high = hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(d16, code)));
    const WordVec low_values =
        hn::BitCast(d16, hn::TableLookupBytes(entries, hn::And(code, low_nibble)));
    const WordVec high_values =
        hn::BitCast(d16, hn::TableLookupBytes(entries, hn::And(high, low_nibble)));
    all_low = hn::Add(all_low, low_values);
    odd_low = hn::Add(odd_low, hn::ShiftRight<8>(low_values));
    all_high = hn::Add(all_high, high_values);
    odd_high = hn::Add(odd_high, hn::ShiftRight<8>(high_values));
  };
  // 64 dimensions a step: dim is a multiple of that.
  static_assert(256 % (4 * kByteLanes) == 0);
  for (size_t i = 0; i < bytes; i += 4 * kByteLanes) {
    add(i);
    add(i + kByteLanes);
    add(i + 2 * kByteLanes);
    add(i + 3 * kByteLanes);
  }
  const WordVec even_low = hn::Sub(all_low, hn::ShiftLeft<8>(odd_low));
  const WordVec even_high = hn::Sub(all_high, hn::ShiftLeft<8>(odd_high));
  // Each 128-bit block now holds a part of the sums of the same 8 vectors.
#if HWY_CAP_GE512
  const auto fold = [d16](WordVec first, WordVec second) HWY_ATTR {
    const WordVec halves =
        hn::Add(hn::ConcatLowerLower(d16, second, first), hn::ConcatUpperUpper(d16, second, first));
    return hn::Add(halves, hn::SwapAdjacentBlocks(halves));
  };
  out[0] = hn::OddEvenBlocks(fold(odd_low, odd_high), fold(even_low, even_high));
#elif HWY_CAP_GE256
  out[0] = hn::Add(hn::ConcatLowerLower(d16, odd_low, even_low),
                   hn::ConcatUpperUpper(d16, odd_low, even_low));
  out[1] = hn::Add(hn::ConcatLowerLower(d16, odd_high, even_high),
                   hn::ConcatUpperUpper(d16, odd_high, even_high));
#else
  out[0] = even_low;
  out[1] = odd_low;
  out[2] = even_high;
  out[3] = odd_high;
#endif
}

HWY_INLINE void Widen(const WordVec* words, UintVec* out) {
  const UintTag d32;
  const hn::Half<WordTag> half;
  for (size_t i = 0; i < kWordVecs; ++i) {
    out[2 * i] = hn::PromoteTo(d32, hn::LowerHalf(half, words[i]));
    out[2 * i + 1] = hn::PromoteTo(d32, hn::UpperHalf(half, words[i]));
  }
}

HWY_INLINE FloatVec LoadBfloat(const uint8_t* p) {
  const hn::Rebind<uint16_t, FloatTag> d16;
  const UintTag d32;
  const auto bits = hn::PromoteTo(d32, hn::Load(d16, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(bits));
}

// Calls body(0), body(1) .. as constants: what they index stays in registers.
template <size_t... kIndex, class Body>
HWY_INLINE void Unrolled(std::index_sequence<kIndex...>, const Body& body) {
  (body(std::integral_constant<size_t, kIndex>()), ...);
}

// Writes result [first, first + 32). Bit i: lane i's lower bound is under tau. kLong: more than one
// pass.
template <bool kLong>
HWY_INLINE uint32_t ScanBlock(const ScanQuery& q, const uint8_t* block, float g_add, float g_error,
                              float tau, size_t first, RunResult* result) {
  const size_t code_bytes = q.dim * 4;
  WordVec words[kWordVecs];
  UintVec sums[kFloatVecs];
  SumPass(block, q.table, kLong ? kPassBytes : code_bytes, words);
  Widen(words, sums);
  for (size_t start = kPassBytes; kLong && start < code_bytes; start += kPassBytes) {
    UintVec more[kFloatVecs];
    SumPass(block + start, q.table + start, HWY_MIN(code_bytes - start, kPassBytes), words);
    Widen(words, more);
    for (size_t i = 0; i < kFloatVecs; ++i) sums[i] = hn::Add(sums[i], more[i]);
  }

  const FloatTag df;
  const uint8_t* f_add = block + code_bytes;
  const uint8_t* f_rescale = f_add + kLanes * 4;
  const uint8_t* f_error = f_rescale + kLanes * 2;
  uint64_t under = 0;
  Unrolled(std::make_index_sequence<kFloatVecs>(), [&](auto i) HWY_ATTR {
    constexpr size_t kLane = i * kFloatLanes;
    const FloatVec ip = hn::MulAdd(hn::ConvertTo(df, hn::BitCast(IntTag(), sums[i])),
                                   hn::Set(df, q.step), hn::Set(df, q.bias));
    const FloatVec add = hn::Load(df, reinterpret_cast<const float*>(f_add) + kLane);
    const FloatVec estimate =
        hn::MulAdd(LoadBfloat(f_rescale + kLane * 2), hn::Sub(ip, hn::Set(df, q.sum * 0.5f)),
                   hn::Add(add, hn::Set(df, g_add)));
    const FloatVec lower_bound =
        hn::NegMulAdd(LoadBfloat(f_error + kLane * 2), hn::Set(df, g_error), estimate);
    uint64_t bits = 0;
    hn::StoreMaskBits(df, hn::Lt(lower_bound, hn::Set(df, tau)), reinterpret_cast<uint8_t*>(&bits));
    under |= bits << kLane;
    hn::Store(lower_bound, df, result->lower_bound + first + kLane);
    hn::Store(estimate, df, result->estimate + first + kLane);
    hn::Store(ip, df, result->ip + first + kLane);
  });
  return static_cast<uint32_t>(under);
}

HWY_INLINE int32_t SignBitProduct(const uint8_t* bits, const int8_t* q8, size_t dim) {
  const SignedByteTag d8;
  const ByteVec ones = hn::Set(ByteTag(), uint8_t{1});
  IntVec sum = hn::Zero(IntTag());
  for (size_t i = 0; i < dim; i += kByteLanes) {
    const auto set = hn::LoadMaskBits(d8, bits + i / 8);
    sum = DotSmall(sum, ones, hn::IfThenElseZero(set, hn::Load(d8, q8 + i)));
  }
  return hn::GetLane(hn::SumOfLanes(IntTag(), sum));
}

#endif

template <bool kLong>
HWY_INLINE size_t ScanAll(const ScanQuery& query, const uint8_t* blocks, size_t n_blocks,
                          size_t n_rows, const uint32_t* skip, float g_add, float g_error,
                          float tau, Survivor* out) {
  const ScanQuery q = query;
  const size_t block_bytes = q.dim * 4 + kFactorBytes;
  n_blocks = HWY_MIN(n_blocks, (n_rows + kLanes - 1) / kLanes);
  RunResult result;
  size_t n = 0;
  for (size_t start = 0; start < n_blocks; start += kRunBlocks) {
    const size_t end = HWY_MIN(start + kRunBlocks, n_blocks);
    uint32_t masks[kRunBlocks];
    for (size_t b = start; b < end; ++b) {
      const size_t first = (b - start) * kLanes;
      uint32_t under =
          ScanBlock<kLong>(q, blocks + b * block_bytes, g_add, g_error, tau, first, &result);
      if (skip != nullptr) under &= ~skip[b];
      const size_t left = n_rows - b * kLanes;
      if (left < kLanes) under &= (uint32_t{1} << left) - 1;
      masks[b - start] = under;
    }
    for (size_t b = start; b < end; ++b) {
      for (uint32_t under = masks[b - start]; under != 0; under &= under - 1) {
        const size_t lane = (b - start) * kLanes + static_cast<size_t>(std::countr_zero(under));
        out[n++] = {result.lower_bound[lane], result.estimate[lane], result.ip[lane],
                    static_cast<uint32_t>(start * kLanes + lane)};
      }
    }
  }
  return n;
}

size_t ScanBlocksOf(const ScanQuery& q, const uint8_t* blocks, size_t n_blocks, size_t n_rows,
                    const uint32_t* skip, float g_add, float g_error, float tau, Survivor* out) {
  return q.dim * 4 <= kPassBytes
             ? ScanAll<false>(q, blocks, n_blocks, n_rows, skip, g_add, g_error, tau, out)
             : ScanAll<true>(q, blocks, n_blocks, n_rows, skip, g_add, g_error, tau, out);
}

void ScanRowsOf(const ScanQuery& query, const uint8_t* rows, size_t stride, size_t n, float g_add,
                float g_error, float* estimate, float* lower_bound) {
  const ScanQuery q = query;
  for (size_t i = 0; i < n; ++i, rows += stride) {
    float f_add;
    uint16_t f_rescale, f_error;
    std::memcpy(&f_add, rows, sizeof f_add);
    std::memcpy(&f_rescale, rows + 4, sizeof f_rescale);
    std::memcpy(&f_error, rows + 6, sizeof f_error);
    const float ip = q.q8_step * static_cast<float>(SignBitProduct(rows + 8, q.q8, q.dim));
    estimate[i] = f_add + g_add + BfloatToFloat(f_rescale) * (ip - q.q8_sum * 0.5f);
    lower_bound[i] = estimate[i] - BfloatToFloat(f_error) * g_error;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(ScanBlocksOf);
HWY_EXPORT(ScanRowsOf);

size_t ScanBlocks(const ScanQuery& q, const uint8_t* blocks, size_t n_blocks, size_t n_rows,
                  const uint32_t* skip, float g_add, float g_error, float tau,
                  Survivor* out) noexcept {
  return HWY_DYNAMIC_DISPATCH(ScanBlocksOf)(q, blocks, n_blocks, n_rows, skip, g_add, g_error, tau,
                                            out);
}

void ScanRows(const ScanQuery& q, const uint8_t* rows, size_t stride, size_t n, float g_add,
              float g_error, float* estimate, float* lower_bound) noexcept {
  HWY_DYNAMIC_DISPATCH(ScanRowsOf)(q, rows, stride, n, g_add, g_error, estimate, lower_bound);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
