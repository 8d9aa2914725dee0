/// ListScanner: takes the rows of a list whose lower bound is under tau: 1-bit codes first, then
/// the ex records of what they leave. It remembers what it took from each list, so that scanning a
/// list again under a larger tau takes the others only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "index/candidates.h"
#include "index/frame_window.h"
#include "index/query.h"
#include "index/searcher.h"
#include "quant/code_layout.h"
#include "simd/scan.h"

namespace vdb::index {

class ListScanner {
 public:
  explicit ListScanner(quant::CodeLayout layout) : layout_(layout) {}

  /// Starts over. upper_scale: from upper bounds of codes to search units (1 but for L1).
  void Begin(std::span<const SegmentView> segments, const PreparedQuery* query,
             Candidates* candidates, float upper_scale, SearchStats* stats);

  /// Scans a list for the first time. When it fails, nothing was taken and it can be called again.
  Status Scan(uint32_t segment, uint32_t list);

  /// Lists scanned so far.
  size_t size() const { return lists_.size(); }
  /// Scans list number i (in the order of Scan) for the rows that are left. Fails as Scan does.
  Status Rescan(size_t i);

 private:
  struct ScannedList {
    uint32_t segment, list;
    uint32_t left;  // rows neither dead nor taken
    size_t mask;    // its words in masks_
    QueryTerms terms;
  };

  Status Take(ScannedList* list);
  Status ScanFirstParts(const ScannedList& list);
  void TakeRest(ScannedList* list);
  Status TakeSurvivors(ScannedList* list);
  void Prefetch(const simd::Survivor& survivor, const ListEntry& entry) const;

  const ListEntry& EntryOf(const ScannedList& list) const {
    return segments_[list.segment].routing->lists[list.list];
  }
  void Add(ScannedList* list, uint32_t row, float lower_bound, float upper_bound);

  quant::CodeLayout layout_;
  std::vector<SegmentView> segments_;
  const PreparedQuery* query_ = nullptr;
  Candidates* candidates_ = nullptr;
  SearchStats* stats_ = nullptr;
  float upper_scale_ = 1;

  std::vector<ScannedList> lists_;
  std::vector<uint32_t> masks_;  // of each list: bit set = dead or taken
  std::vector<uint32_t> rest_;   // for TakeRest
  FrameWindow window_;
  std::vector<simd::Survivor> survivors_;
  size_t n_survivors_ = 0;
  AlignedBuffer<uint8_t> scratch_;  // a block or record that lies in two frames
};

}  // namespace vdb::index
