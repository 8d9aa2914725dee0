// PrepareScanQuery: look-up table and int8 copy of a query.
#include <algorithm>
#include <cmath>

#include "simd/scan.h"
#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/query.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Below this a query counts as zero: 255 / range must stay finite.
inline constexpr float kTiny = 1e-35f;

struct QueryRange {
  float max_abs;    // of one coordinate
  float max_group;  // of |q| summed over 4 coordinates
  float sum, negative_sum;
};

// All targets add the four coordinates of a group as (0 + 1) + (2 + 3), and the table's terms from
// the first to the last: so their integers are the same.
#if HWY_TARGET == HWY_SCALAR

QueryRange Measure(const float* query, size_t dim) {
  QueryRange range = {0, 0, 0, 0};
  double sum = 0, negative_sum = 0;
  for (size_t i = 0; i < dim; i += 4) {
    const float* q = query + i;
    for (size_t j = 0; j < 4; ++j) {
      range.max_abs = std::max(range.max_abs, std::fabs(q[j]));
      sum += q[j];
      negative_sum += std::min(q[j], 0.0f);
    }
    range.max_group = std::max(
        range.max_group, (std::fabs(q[0]) + std::fabs(q[1])) + (std::fabs(q[2]) + std::fabs(q[3])));
  }
  range.sum = static_cast<float>(sum);
  range.negative_sum = static_cast<float>(negative_sum);
  return range;
}

void FillTable(const float* query, size_t dim, float scale, uint8_t* table) {
  for (size_t i = 0; i < dim; i += 4) {
    float q[4], negative[4];
    for (size_t j = 0; j < 4; ++j) {
      q[j] = query[i + j] * scale;
      negative[j] = std::min(q[j], 0.0f);
    }
    const float lowest = (negative[0] + negative[1]) + (negative[2] + negative[3]);
    for (size_t c = 0; c < 16; ++c) {
      float value = -lowest;
      for (size_t j = 0; j < 4; ++j) value += (c >> j & 1) != 0 ? q[j] : 0.0f;
      table[i * 4 + c] = static_cast<uint8_t>(std::clamp(std::nearbyint(value), 0.0f, 255.0f));
    }
  }
}

int32_t FillBytes(const float* query, size_t dim, float scale, int8_t* q8) {
  int32_t sum = 0;
  for (size_t i = 0; i < dim; ++i) {
    q8[i] = static_cast<int8_t>(std::clamp(std::nearbyint(query[i] * scale), -127.0f, 127.0f));
    sum += q8[i];
  }
  return sum;
}

#else

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);

// In each lane the sum over the lane's group of 4.
HWY_INLINE FloatVec GroupSum(FloatVec v) {
  v = hn::Add(v, hn::Shuffle2301(v));
  return hn::Add(v, hn::Shuffle1032(v));
}

QueryRange Measure(const float* query, size_t dim) {
  const FloatTag d;
  FloatVec max_abs = hn::Zero(d), max_group = max_abs, sum = max_abs, negative_sum = max_abs;
  for (size_t i = 0; i < dim; i += kFloatLanes) {
    const FloatVec v = hn::Load(d, query + i);
    const FloatVec magnitude = hn::Abs(v);
    max_abs = hn::Max(max_abs, magnitude);
    max_group = hn::Max(max_group, GroupSum(magnitude));
    sum = hn::Add(sum, v);
    negative_sum = hn::Add(negative_sum, hn::Min(v, hn::Zero(d)));
  }
  return {hn::GetLane(hn::MaxOfLanes(d, max_abs)), hn::GetLane(hn::MaxOfLanes(d, max_group)),
          hn::GetLane(hn::SumOfLanes(d, sum)), hn::GetLane(hn::SumOfLanes(d, negative_sum))};
}

void FillTable(const float* query, size_t dim, float scale, uint8_t* table) {
  const FloatTag d;
  const hn::Rebind<uint8_t, FloatTag> d8;
  constexpr size_t kVecs = 16 / kFloatLanes;
  // bit[v][j]: 1 in the lanes whose table index has bit j, else 0; a product with it is exact.
  FloatVec bit[kVecs][4];
  for (size_t v = 0; v < kVecs; ++v) {
    for (size_t j = 0; j < 4; ++j) {
      HWY_ALIGN float lanes[kFloatLanes];
      for (size_t c = 0; c < kFloatLanes; ++c) {
        lanes[c] = static_cast<float>((v * kFloatLanes + c) >> j & 1);
      }
      bit[v][j] = hn::Load(d, lanes);
    }
  }
  for (size_t i = 0; i < dim; i += kFloatLanes) {
    const FloatVec scaled = hn::Mul(hn::Load(d, query + i), hn::Set(d, scale));
    HWY_ALIGN float q[kFloatLanes], lowest[kFloatLanes];
    hn::Store(scaled, d, q);
    hn::Store(GroupSum(hn::Min(scaled, hn::Zero(d))), d, lowest);
    for (size_t g = 0; g < kFloatLanes; g += 4) {
      for (size_t v = 0; v < kVecs; ++v) {
        FloatVec value = hn::Set(d, -lowest[g]);
        for (size_t j = 0; j < 4; ++j) {
          value = hn::MulAdd(bit[v][j], hn::Set(d, q[g + j]), value);
        }
        hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(value)), d8,
                   table + (i + g) * 4 + v * kFloatLanes);
      }
    }
  }
}

// Returns the sum of q8.
int32_t FillBytes(const float* query, size_t dim, float scale, int8_t* q8) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> d32;
  const hn::Rebind<int8_t, FloatTag> d8;
  auto sum = hn::Zero(d32);
  for (size_t i = 0; i < dim; i += kFloatLanes) {
    const FloatVec v = hn::Mul(hn::Load(d, query + i), hn::Set(d, scale));
    // A NaN must not become -128, which the byte products do not allow for.
    const FloatVec clamped = hn::Max(hn::Min(v, hn::Set(d, 127.0f)), hn::Set(d, -127.0f));
    const auto integers = hn::NearestInt(clamped);
    sum = hn::Add(sum, integers);
    hn::StoreU(hn::DemoteTo(d8, integers), d8, q8 + i);
  }
  return hn::GetLane(hn::SumOfLanes(d32, sum));
}

#endif

ScanQuery PrepareOf(const float* query, size_t dim, uint8_t* table, int8_t* q8) {
  const QueryRange range = Measure(query, dim);
  ScanQuery q = {table, q8, dim, 0, range.negative_sum, 0, range.sum, 0};
  const bool tiny = !(range.max_group > kTiny);
  if (!tiny) q.step = range.max_group / 255;
  FillTable(query, dim, tiny ? 0 : 255 / range.max_group, table);
  const bool tiny_coordinate = !(range.max_abs > kTiny);
  if (!tiny_coordinate) q.q8_step = range.max_abs / 127;
  const int32_t sum = FillBytes(query, dim, tiny_coordinate ? 0 : 127 / range.max_abs, q8);
  q.q8_sum = q.q8_step * static_cast<float>(sum);
  return q;
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(PrepareOf);

ScanQuery PrepareScanQuery(const float* query, size_t dim, uint8_t* table, int8_t* q8) noexcept {
  return HWY_DYNAMIC_DISPATCH(PrepareOf)(query, dim, table, q8);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
