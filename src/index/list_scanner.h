/// ListScanner: takes the rows of lists whose lower bound is under tau: 1-bit codes first, then the
/// ex records of what they leave. It remembers what it took from each list, so that scanning a list
/// again under a larger tau takes the others only.
///
/// Lists are scanned in small batches, and the ex records of one batch are read between the lists
/// of the next: one pin serves both, the memory latency of each passes during the other, and each
/// list is scanned under the tau that the records before it have made.
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

  const quant::CodeLayout& layout() const { return layout_; }
  /// Lists added so far.
  size_t size() const { return lists_.size(); }
  /// Puts a list that has not been scanned into the batch. When it fails, nothing has changed. Pre:
  /// the list has rows.
  Status Add(uint32_t segment, uint32_t list);
  /// Puts list number i, in the order of Add, into the batch again for the rows that are left.
  void AddAgain(size_t i);

  bool batch_empty() const { return scan_.entries.empty(); }
  /// Whether another list would make the batch too large.
  bool batch_full() const {
    return scan_.entries.size() >= batch_lists_ || scan_.rows >= kBatchRows;
  }

  /// Scans the batch and takes what the one before it left to read. When it fails, nothing was
  /// taken, and it can be called again.
  Status ScanBatch();
  /// Takes what is left to read. Fails as ScanBatch does.
  Status Finish();

 private:
  // A batch's records make tau smaller only for the lists of the next, which lets a few more rows
  // survive: so batches begin small and stay small.
  static constexpr size_t kBatchLists = 8;
  static constexpr uint64_t kBatchRows = 4096;

  struct ScannedList {
    uint32_t segment, list;
    uint32_t left;  // rows neither dead nor taken
    ListEntry entry;
    size_t mask;  // its words in masks_
    QueryTerms terms;
  };
  struct BatchEntry {
    uint32_t number;       // in lists_
    uint32_t first_frame;  // of its blocks, in the segment's FrameSet
    size_t begin, end;     // its survivors
  };
  struct Batch {
    std::vector<BatchEntry> entries;
    uint64_t rows = 0;
    std::vector<simd::Survivor> survivors;
    size_t n_survivors = 0;

    void Clear() {
      entries.clear();
      rows = n_survivors = 0;
    }
  };
  /// A survivor of read_ whose ex record is to be read.
  struct Record {
    float lower_bound, estimate, ip;
    uint32_t row;
    uint32_t list;    // in lists_
    uint32_t frame;   // in which the ex record begins
    uint32_t offset;  // of the ex record, in its object
    const uint8_t* address;
  };

  void WantBlocks();
  void WantRecords();
  Status Pin();
  void Unpin();
  void ScanLists();
  void ScanBlocks(BatchEntry* entry);
  void PrefetchBlocks(const BatchEntry& entry) const;
  void PrefetchRecords(size_t begin, size_t end);
  size_t MoveBestFirst();
  void KeepRecordsUnderTau(size_t begin);
  void TakeRecords(size_t begin, size_t end);
  void TakeAllRecords();
  void TakeFirstParts();
  void TakeRest(const BatchEntry& entry);
  void FinishRead();
  void Take(ScannedList* list, uint32_t row, float lower_bound, float upper_bound);

  quant::CodeLayout layout_;
  std::vector<SegmentView> segments_;
  const PreparedQuery* query_ = nullptr;
  Candidates* candidates_ = nullptr;
  SearchStats* stats_ = nullptr;
  float upper_scale_ = 1;

  std::vector<ScannedList> lists_;
  std::vector<uint32_t> masks_;  // of each list: bit set = dead or taken
  Batch scan_;                   // to be scanned
  Batch read_;                   // scanned: its survivors' ex records are to be read
  size_t batch_lists_ = 1;

  std::vector<FrameSet> frames_;  // of each segment
  std::vector<Record> records_;   // as long as ever needed, as is sorted_
  std::vector<Record> sorted_;
  size_t n_records_ = 0;
  SmallestK upper_bounds_;  // of first parts, until there is a tau
  float tau_ = 0;           // while blocks are scanned
  std::vector<uint32_t> rest_;
  AlignedBuffer<uint8_t> scratch_;  // a block or some records that lie in two frames
};

}  // namespace vdb::index
