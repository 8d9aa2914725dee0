#include "simd/assign.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/assign.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vdb::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
using IndexTag = hn::RebindToSigned<FloatTag>;
using IndexVec = hn::Vec<IndexTag>;
inline constexpr size_t kFloatLanes = HWY_LANES(float);

// The tile: kPoints x kColumns vectors of sums stay in registers (32 on AVX-512 and NEON, else 16).
#if HWY_CAP_GE512
inline constexpr size_t kPoints = 6, kColumns = 4;
#elif HWY_TARGET == HWY_NEON
inline constexpr size_t kPoints = 6, kColumns = 4;
#elif HWY_TARGET == HWY_SCALAR
inline constexpr size_t kPoints = 1, kColumns = 8;
#else
inline constexpr size_t kPoints = 6, kColumns = 2;
#endif
inline constexpr size_t kTileWidth = kColumns * kFloatLanes;
static_assert(kPanelWidth % kTileWidth == 0);

// One tile: kPoints points with kCount vectors of centroids, the first of which has number
// first_index.
// best_score and best_index (kPoints,) hold in each lane the best of the centroids in that lane.
template <size_t kCount>
HWY_INLINE void Tile(const float* const* points, const float* HWY_RESTRICT panel, size_t dim,
                     const float* base, size_t first_index, FloatVec* best_score,
                     IndexVec* best_index) {
  const FloatTag d;
  FloatVec sums[kPoints][kCount];
  for (auto& row : sums) {
    for (FloatVec& sum : row) sum = hn::Zero(d);
  }
  for (size_t j = 0; j < dim; ++j) {
    FloatVec centroids[kCount];
    for (size_t c = 0; c < kCount; ++c) {
      centroids[c] = hn::Load(d, panel + j * kPanelWidth + c * kFloatLanes);
    }
    for (size_t i = 0; i < kPoints; ++i) {
      const FloatVec x = hn::Set(d, points[i][j]);
      for (size_t c = 0; c < kCount; ++c) sums[i][c] = hn::MulAdd(x, centroids[c], sums[i][c]);
    }
  }
  const IndexTag di;
  for (size_t c = 0; c < kCount; ++c) {
    const FloatVec norm = hn::Load(d, base + c * kFloatLanes);
    const IndexVec index = hn::Iota(di, static_cast<int32_t>(first_index + c * kFloatLanes));
    for (size_t i = 0; i < kPoints; ++i) {
      const FloatVec score = hn::NegMulAdd(hn::Set(d, 2.0f), sums[i][c], norm);
      const auto less = hn::Lt(score, best_score[i]);
      best_score[i] = hn::IfThenElse(less, score, best_score[i]);
      best_index[i] = hn::IfThenElse(hn::RebindMask(di, less), index, best_index[i]);
    }
  }
}

void AssignOf(const float* points, size_t n, size_t dim, const float* panels, const float* norms,
              size_t n_centroids, uint32_t* best, float* best_score) {
  const FloatTag d;
  const IndexTag di;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const size_t n_panels = (n_centroids + kPanelWidth - 1) / kPanelWidth;
  for (size_t first = 0; first < n; first += kPoints) {
    const size_t m = std::min(kPoints, n - first);
    const float* rows[kPoints];
    for (size_t i = 0; i < kPoints; ++i) rows[i] = points + (first + std::min(i, m - 1)) * dim;
    FloatVec lane_score[kPoints];
    IndexVec lane_index[kPoints];
    for (size_t i = 0; i < kPoints; ++i) {
      lane_score[i] = hn::Set(d, kInfinity);
      lane_index[i] = hn::Zero(di);
    }
    for (size_t p = 0; p < n_panels; ++p) {
      const size_t in_panel = std::min(kPanelWidth, n_centroids - p * kPanelWidth);
      // What a score starts from; infinity keeps padding from ever winning.
      HWY_ALIGN float own_base[kPanelWidth];
      const float* base = own_base;
      if (in_panel == kPanelWidth) {
        base = norms + p * kPanelWidth;
      } else {
        for (size_t c = 0; c < kPanelWidth; ++c) {
          own_base[c] = c >= in_panel ? kInfinity : norms[p * kPanelWidth + c];
        }
      }
      const float* panel = panels + p * dim * kPanelWidth;
      size_t t = 0;
      const auto tile = [&](auto count) HWY_ATTR {
        constexpr size_t kCount = decltype(count)::value;
        Tile<kCount>(rows, panel + t, dim, base + t, p * kPanelWidth + t, lane_score, lane_index);
        t += kCount * kFloatLanes;
      };
      while (t + kTileWidth <= in_panel) tile(std::integral_constant<size_t, kColumns>());
      // The last, narrower tile: with few centroids it is most of the work.
      if (t + kTileWidth / 2 < in_panel) {
        tile(std::integral_constant<size_t, kColumns>());
      } else if (t + kTileWidth / 4 < in_panel) {
        tile(std::integral_constant<size_t, kColumns / 2>());
      } else if (t < in_panel) {
        tile(std::integral_constant<size_t, (kColumns + 3) / 4>());
      }
    }
    for (size_t i = 0; i < m; ++i) {
      HWY_ALIGN float scores[kFloatLanes];
      HWY_ALIGN int32_t indexes[kFloatLanes];
      hn::Store(lane_score[i], d, scores);
      hn::Store(lane_index[i], di, indexes);
      size_t lane = 0;
      for (size_t k = 1; k < kFloatLanes; ++k) {
        if (scores[k] < scores[lane] || (scores[k] == scores[lane] && indexes[k] < indexes[lane])) {
          lane = k;
        }
      }
      best[first + i] = static_cast<uint32_t>(indexes[lane]);
      if (best_score != nullptr) best_score[first + i] = scores[lane];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace vdb::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vdb::simd {

HWY_EXPORT(AssignOf);

void PackPanels(const float* rows, size_t n, size_t dim, float* panels, float* norms) noexcept {
  const size_t padded = (n + kPanelWidth - 1) / kPanelWidth * kPanelWidth;
  for (size_t i = 0; i < padded; ++i) {
    float* to = panels + i / kPanelWidth * dim * kPanelWidth + i % kPanelWidth;
    double norm = 0;
    for (size_t j = 0; j < dim; ++j) {
      const float x = i < n ? rows[i * dim + j] : 0;
      to[j * kPanelWidth] = x;
      norm += static_cast<double>(x) * x;
    }
    norms[i] = static_cast<float>(norm);
  }
}

void AssignPanels(const float* points, size_t n, size_t dim, const float* panels,
                  const float* norms, size_t n_centroids, uint32_t* best,
                  float* best_score) noexcept {
  HWY_DYNAMIC_DISPATCH(AssignOf)
  (points, n, dim, panels, norms, n_centroids, best, best_score);
}

}  // namespace vdb::simd
#endif  // HWY_ONCE
