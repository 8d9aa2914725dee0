/// ListScanner: takes the rows of lists whose lower bound is under tau: 1-bit codes first, then the
/// ex records of what they leave. It remembers what it took from each list, so that scanning a list
/// again under a larger tau takes the others only.
///
/// Lists are scanned in small batches: one pin for the blocks of all, one for the ex records, and
/// the memory latency of one list passes while another is scanned.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "index/candidates.h"
#include "index/frame_set.h"
#include "index/query.h"
#include "index/searcher.h"
#include "index/smallest_k.h"
#include "quant/code_layout.h"
#include "simd/scan.h"

namespace vdb::index {

class ListScanner {
 public:
  explicit ListScanner(quant::CodeLayout layout) : layout_(layout) {}

  /// Starts over. upper_scale: from upper bounds of codes to search units (1 but for L1).
  void Begin(std::span<const SegmentView> segments, const PreparedQuery* query,
             Candidates* candidates, float upper_scale, SearchStats* stats);

  /// Lists added so far.
  size_t size() const { return lists_.size(); }
  /// Puts a list that has not been scanned into the batch. When it fails, nothing has changed. Pre:
  /// the list has rows.
  Status Add(uint32_t segment, uint32_t list);
  /// Puts list number i, in the order of Add, into the batch again for the rows that are left.
  void AddAgain(size_t i);

  bool batch_empty() const { return batch_.empty(); }
  /// Whether another list would make the batch too large.
  bool batch_full() const { return batch_.size() >= batch_lists_ || batch_rows_ >= kBatchRows; }

  /// Scans the batch. When it fails, nothing was taken, and it can be called again.
  Status ScanBatch();

 private:
  // A tau that is a few lists behind lets more survive, so batches begin small and stay small.
  static constexpr size_t kBatchLists = 8;
  static constexpr uint64_t kBatchRows = 4096;

  struct ScannedList {
    uint32_t segment, list;
    uint32_t left;  // rows neither dead nor taken
    size_t mask;    // its words in masks_
    QueryTerms terms;
  };
  /// A list in the batch: its frames and survivors.
  struct BatchEntry {
    size_t number;         // in lists_
    uint32_t first_frame;  // of its blocks, in frames_
    size_t begin, end;     // in survivors_
  };
  /// A survivor whose ex record is to be read.
  struct Record {
    size_t entry, survivor;
    const uint8_t* address;  // null: lies in two frames
  };

  const ListEntry& EntryOf(const ScannedList& list) const {
    return segments_[list.segment].routing->lists[list.list];
  }
  Status PinBlocks();
  void ScanBlocks(BatchEntry* entry);
  Status PinRecords();
  void TakeRecords();
  void FindRecords(float lowest, float highest);
  void ReadRecords();
  void TakeFirstParts();
  void TakeRest(const BatchEntry& entry);
  bool WantsRest(const BatchEntry& entry) const;
  void Take(ScannedList* list, uint32_t row, float lower_bound, float upper_bound);
  void Unpin();

  quant::CodeLayout layout_;
  std::vector<SegmentView> segments_;
  const PreparedQuery* query_ = nullptr;
  Candidates* candidates_ = nullptr;
  SearchStats* stats_ = nullptr;
  float upper_scale_ = 1;

  std::vector<ScannedList> lists_;
  std::vector<uint32_t> masks_;  // of each list: bit set = dead or taken
  std::vector<BatchEntry> batch_;
  size_t batch_lists_ = 1;
  uint64_t batch_rows_ = 0;

  std::vector<FrameSet> frames_;  // of each segment
  std::vector<simd::Survivor> survivors_;
  size_t n_survivors_ = 0;
  std::vector<uint32_t> record_frames_;  // of each survivor: the frame its ex record begins in
  std::vector<Record> records_;
  SmallestK best_;
  float tau_ = 0;  // while blocks are scanned
  std::vector<uint32_t> rest_;
  AlignedBuffer<uint8_t> scratch_;  // a block or record that lies in two frames
};

}  // namespace vdb::index
