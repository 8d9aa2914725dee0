/// ListOrder: the lists of all segments in order of their keys, found piece by piece, because a
/// query scans few of them.
///
/// Lists are numbered through all segments; each segment's numbers start at a multiple of 16, so
/// some numbers belong to no list.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "index/query.h"
#include "index/routing.h"
#include "simd/list_keys.h"

namespace vdb::index {

class ListOrder {
 public:
  struct Entry {
    float key;
    uint32_t list;  // numbered through all segments
  };

  /// Ranks the lists of these routings for a prepared query. by_distance: keys without radii, the
  /// order of a fixed number of probes.
  void Begin(std::span<const Routing* const> routings, const PreparedQuery& query, bool by_product,
             bool by_distance);

  /// The next list with a key under `limit`, or null. It stays the next until Pop. An infinite
  /// limit stops at no list.
  const Entry* Next(float limit) {
    if (position_ == batch_.size() && !Refill(limit)) return nullptr;
    return batch_[position_].key < limit ? &batch_[position_] : nullptr;
  }
  void Pop() { ++position_; }
  /// What comes `ahead` places after the next, as far as it is known; else null.
  const Entry* Peek(size_t ahead) const {
    return position_ + ahead < batch_.size() ? &batch_[position_ + ahead] : nullptr;
  }

  /// How far the search will look, as lists let foresee: the least of their keys by the rule of
  /// Calibration::reach. Infinity where a segment has none.
  float Foretell();

  /// Replaces *lists by the `n` with the smallest keys, as far as those are under `limit`, in order
  /// of their keys.
  void Nearest(size_t n, float limit, std::vector<uint32_t>* lists) const;

  /// Segment and list within it.
  struct Place {
    uint32_t segment, list;
  };
  Place PlaceOf(uint32_t list) const;

 private:
  bool Refill(float limit);

  std::vector<const Routing*> routings_;
  simd::ListKeyQuery query_{};
  std::vector<uint32_t> first_;  // of each segment: its first number
  AlignedBuffer<int32_t> products_;
  AlignedBuffer<float> keys_;
  AlignedBuffer<float> minima_;                     // of each group of 16
  AlignedBuffer<float> reach_keys_, reach_minima_;  // Foretell's, likewise
  uint32_t groups_ = 0;
  uint32_t batch_groups_ = 0;
  float done_ = 0;  // keys up to here have been in a batch
  std::vector<Entry> batch_;
  std::vector<float> scratch_;
  AlignedBuffer<uint32_t> selected_;
  size_t position_ = 0;
};

}  // namespace vdb::index
