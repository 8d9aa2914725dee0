#include "index/list_order.h"

#include <algorithm>
#include <limits>

#include "simd/scan.h"

namespace vdb::index {
namespace {

constexpr uint32_t kGroup = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The first batch comes from the 4 best groups, each later one from four times more: enough to make
// tau small before many lists are sorted, and never more than log4(groups) passes.
constexpr uint32_t kFirstGroups = 4;
constexpr uint32_t kGroupGrowth = 4;

// Up to here ranking is quicker than sorting. A multiple of 16.
constexpr size_t kRankedKeys = 512;

template <class T>
void EnsureSize(AlignedBuffer<T>* buffer, size_t size) {
  if (buffer->size() < size) buffer->Reset(size);
}

}  // namespace

void ListOrder::Begin(std::span<const Routing* const> routings, const PreparedQuery& query,
                      bool by_product, bool by_distance) {
  routings_.assign(routings.begin(), routings.end());
  first_.clear();
  uint32_t n = 0;
  for (const Routing* routing : routings) {
    first_.push_back(n);
    n += (routing->n_lists + kGroup - 1) / kGroup * kGroup;
  }
  groups_ = n / kGroup;
  EnsureSize(&products_, n);
  EnsureSize(&keys_, n);
  EnsureSize(&minima_, groups_);

  query_ = {by_product, query.scan().q8_step, query.norm_sq(), query.offset(), 0, 0, by_distance};
  for (size_t s = 0; s < routings.size(); ++s) {
    const Routing& routing = *routings[s];
    if (routing.n_lists == 0) continue;
    const uint32_t at = first_[s];
    simd::RankCentroids(query.scan().q8, routing.interleaved, routing.sums, routing.n_lists,
                        routing.dim, products_.data() + at);
    query_.theta = routing.calibration.theta;
    query_.near_ratio = routing.calibration.near_ratio;
    simd::ListKeys(query_, products_.data() + at, routing.scale, routing.norm_sq, routing.radius,
                   routing.n_lists, keys_.data() + at, minima_.data() + at / kGroup);
  }
  batch_groups_ = kFirstGroups;
  done_ = -kInfinity;
  batch_.clear();
  position_ = 0;
}

bool ListOrder::Refill(float limit) {
  // A threshold under which there are at least batch_groups_ new keys: the batch_groups_-th
  // smallest minimum that has not been in a batch yet. Keys are finite, so the last batch, with
  // FLT_MAX for a threshold, leaves none out.
  scratch_.clear();
  const float* minima = minima_.data();
  for (uint32_t g = 0; g < groups_; ++g) {
    if (minima[g] > done_) scratch_.push_back(minima[g]);
  }
  float threshold = std::numeric_limits<float>::max();
  if (scratch_.size() > batch_groups_) {
    const auto nth = scratch_.begin() + batch_groups_ - 1;
    std::nth_element(scratch_.begin(), nth, scratch_.end());
    threshold = *nth;
  }
  // Keys at or over the limit are not wanted now: tau hardly ever grows. Those equal to it go
  // along, so that `done_` stays a closed bound.
  threshold = std::min(threshold, limit);
  batch_.clear();
  position_ = 0;
  if (!(threshold > done_)) return false;
  EnsureSize(&selected_, keys_.size());
  const size_t n =
      simd::SelectKeys(keys_.data(), minima_.data(), groups_, done_, threshold, selected_.data());
  batch_.resize(n);
  if (n <= kRankedKeys) {
    alignas(kCacheLine) float selected_keys[kRankedKeys];
    alignas(kCacheLine) uint32_t ranks[kRankedKeys];
    for (size_t i = 0; i < n; ++i) selected_keys[i] = keys_[selected_[i]];
    simd::RankKeys(selected_keys, n, ranks);
    for (size_t i = 0; i < n; ++i) batch_[ranks[i]] = {selected_keys[i], selected_[i]};
  } else {
    for (size_t i = 0; i < n; ++i) batch_[i] = {keys_[selected_[i]], selected_[i]};
    std::sort(batch_.begin(), batch_.end(), [](const Entry& a, const Entry& b) {
      return a.key != b.key ? a.key < b.key : a.list < b.list;
    });
  }
  done_ = threshold;
  batch_groups_ *= kGroupGrowth;
  return !batch_.empty();
}

float ListOrder::Foretell() {
  float least = kInfinity;
  simd::ListKeyQuery query = query_;
  query.near_ratio = kReachNearRatio;
  query.without_radii = false;
  for (size_t s = 0; s < routings_.size(); ++s) {
    const Routing& routing = *routings_[s];
    if (routing.n_lists == 0) continue;
    query.theta = routing.calibration.reach;
    if (routing.calibration.queries == 0 || query.theta == 0) return kInfinity;
    const size_t groups = (routing.n_lists + kGroup - 1) / kGroup;
    EnsureSize(&reach_keys_, groups * kGroup);
    EnsureSize(&reach_minima_, groups);
    simd::ListKeys(query, products_.data() + first_[s], routing.scale, routing.norm_sq,
                   routing.radius, routing.n_lists, reach_keys_.data(), reach_minima_.data());
    for (uint32_t list = 0; list < routing.n_lists; ++list) {
      const bool tells =
          routing.lists[list].rows > 0 && (query.by_product || reach_keys_[list] > 0);
      if (tells) least = std::min(least, reach_keys_[list]);
    }
  }
  return least;
}

void ListOrder::Nearest(size_t n, float limit, std::vector<uint32_t>* lists) const {
  lists->clear();
  // What pads a segment's numbers has the largest key.
  limit = std::min(limit, std::numeric_limits<float>::max());
  for (uint32_t i = 0; i < groups_ * kGroup; ++i) {
    if (keys_[i] < limit) lists->push_back(i);
  }
  const auto end = lists->begin() + static_cast<ptrdiff_t>(std::min(n, lists->size()));
  std::partial_sort(lists->begin(), end, lists->end(),
                    [&](uint32_t a, uint32_t b) { return keys_[a] < keys_[b]; });
  lists->erase(end, lists->end());
}

ListOrder::Place ListOrder::PlaceOf(uint32_t list) const {
  if (first_.size() == 1) return {0, list};
  const auto after = std::upper_bound(first_.begin(), first_.end(), list);
  const auto segment = static_cast<uint32_t>(after - first_.begin()) - 1;
  return {segment, list - first_[segment]};
}

}  // namespace vdb::index
