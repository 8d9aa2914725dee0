#include "simd/list_keys.h"

#include <bit>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/list_keys.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kGroup = 16;

void ListKeys(const ListKeyQuery& query, const int32_t* products, const float* scale,
              const float* norm_sq, const float* radius, size_t n, float* keys, float* minima) {
  const hn::CappedTag<float, kGroup> f32;
  const hn::RebindToSigned<decltype(f32)> i32;
  const size_t lanes = hn::Lanes(f32);
  const auto step = hn::Set(f32, query.q8_step);
  const auto add = hn::Set(f32, query.by_product ? query.offset : query.norm_sq);
  const auto weight = hn::Set(f32, query.without_radii ? 0.0f : 1.0f);
  const auto near_ratio = hn::Set(f32, query.near_ratio);
  const auto theta =
      hn::Set(f32, query.theta * (query.by_product ? std::sqrt(query.norm_sq) : 2.0f));
  const auto inner = hn::Set(f32, query.by_product ? 0.0f : query.theta);
  const auto largest = hn::Set(f32, std::numeric_limits<float>::max());
  const auto smallest = hn::Neg(largest);
  const size_t groups = (n + kGroup - 1) / kGroup;
  for (size_t g = 0; g < groups; ++g) {
    auto low = largest;
    for (size_t i = g * kGroup; i < (g + 1) * kGroup; i += lanes) {
      const auto product = hn::Mul(hn::ConvertTo(f32, hn::Load(i32, products + i)),
                                   hn::Mul(hn::Load(f32, scale + i), step));
      const auto extent = hn::Mul(weight, hn::Load(f32, radius + i));
      auto mean = hn::Sub(add, product);
      auto spread = extent;
      auto inside = hn::Zero(f32);
      if (!query.by_product) {
        const auto square =
            hn::Max(hn::Sub(hn::Add(add, hn::Load(f32, norm_sq + i)), hn::Add(product, product)),
                    hn::Zero(f32));
        mean = hn::MulAdd(extent, extent, square);
        spread = hn::Mul(extent, hn::Max(hn::Sqrt(square), hn::Mul(near_ratio, extent)));
        const auto reach = hn::Mul(inner, extent);
        inside = hn::Min(hn::NegMulAdd(reach, reach, square), hn::Zero(f32));
      }
      auto key = hn::NegMulAdd(theta, spread, mean);
      key = hn::IfThenElse(hn::Lt(inside, hn::Zero(f32)), inside, key);
      key = hn::IfThenElse(hn::Le(hn::Abs(key), largest), key, smallest);
      hn::Store(key, f32, keys + i);
      low = hn::Min(low, key);
    }
    minima[g] = hn::GetLane(hn::MinOfLanes(f32, low));
  }
  if (n % kGroup == 0) return;
  float low = std::numeric_limits<float>::max();
  for (size_t i = (groups - 1) * kGroup; i < n; ++i) low = keys[i] < low ? keys[i] : low;
  minima[groups - 1] = low;
  for (size_t i = n; i < groups * kGroup; ++i) keys[i] = std::numeric_limits<float>::infinity();
}

size_t SelectKeys(const float* keys, const float* minima, size_t n_groups, float low, float high,
                  uint32_t* out) {
  const hn::CappedTag<float, kGroup> f32;
  const size_t lanes = hn::Lanes(f32);
  const auto above = hn::Set(f32, low);
  const auto limit = hn::Set(f32, high);
  size_t n = 0;
  for (size_t g = 0; g < n_groups; ++g) {
    if (minima[g] > high) continue;
    uint32_t hits = 0;
    for (size_t i = 0; i < kGroup; i += lanes) {
      const auto key = hn::Load(f32, keys + g * kGroup + i);
      uint8_t bits[8] = {};
      hn::StoreMaskBits(f32, hn::And(hn::Gt(key, above), hn::Le(key, limit)), bits);
      hits |= (bits[0] | uint32_t{bits[1]} << 8) << i;
    }
    for (; hits != 0; hits &= hits - 1) {
      out[n++] = static_cast<uint32_t>(g * kGroup) + static_cast<uint32_t>(std::countr_zero(hits));
    }
  }
  return n;
}

void RankKeys(float* keys, size_t n, uint32_t* ranks) {
  const hn::CappedTag<float, kGroup> f32;
  const hn::RebindToUnsigned<decltype(f32)> u32;
  const size_t lanes = hn::Lanes(f32);
  const size_t padded = (n + kGroup - 1) / kGroup * kGroup;
  for (size_t i = n; i < padded; ++i) keys[i] = std::numeric_limits<float>::infinity();
  const auto one = hn::Set(u32, 1u);
  for (size_t i = 0; i < padded; i += lanes) {
    const auto own = hn::Load(f32, keys + i);
    auto rank = hn::Zero(u32);
    // Those before the vector go first when they are equal, those behind it do not.
    for (size_t j = 0; j < i; ++j) {
      const auto before = hn::Le(hn::Set(f32, keys[j]), own);
      rank = hn::Add(rank, hn::IfThenElseZero(hn::RebindMask(u32, before), one));
    }
    for (size_t j = i; j < i + lanes; ++j) {
      const auto other = hn::Set(f32, keys[j]);
      const auto later =
          hn::Gt(hn::Iota(f32, static_cast<float>(i)), hn::Set(f32, static_cast<float>(j)));
      const auto before = hn::Or(hn::Lt(other, own), hn::And(hn::Eq(other, own), later));
      rank = hn::Add(rank, hn::IfThenElseZero(hn::RebindMask(u32, before), one));
    }
    for (size_t j = i + lanes; j < n; ++j) {
      const auto before = hn::Lt(hn::Set(f32, keys[j]), own);
      rank = hn::Add(rank, hn::IfThenElseZero(hn::RebindMask(u32, before), one));
    }
    hn::Store(rank, u32, ranks + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {
HWY_EXPORT(ListKeys);
HWY_EXPORT(SelectKeys);
HWY_EXPORT(RankKeys);

void RankKeys(float* keys, size_t n, uint32_t* ranks) noexcept {
  HWY_DYNAMIC_DISPATCH(RankKeys)(keys, n, ranks);
}

size_t SelectKeys(const float* keys, const float* minima, size_t n_groups, float low, float high,
                  uint32_t* out) noexcept {
  return HWY_DYNAMIC_DISPATCH(SelectKeys)(keys, minima, n_groups, low, high, out);
}

void ListKeys(const ListKeyQuery& query, const int32_t* products, const float* scale,
              const float* norm_sq, const float* radius, size_t n, float* keys,
              float* minima) noexcept {
  HWY_DYNAMIC_DISPATCH(ListKeys)(query, products, scale, norm_sq, radius, n, keys, minima);
}

}  // namespace vdb::simd
#endif
