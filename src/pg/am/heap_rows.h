/// HeapRows: exact distances of a scan, read from the rows of its table.
#pragma once

#include <array>
#include <span>

#include "pg/am/opclass.h"

namespace vdb::pg {

/// The rows of one scan's table as its snapshot sees them. Owned by the scan.
class HeapRows {
 public:
  static constexpr size_t kMaxAhead = 16;

  /// opclass: of scan's index. Makes a memory context in the current one. May throw.
  HeapRows(IndexScanDesc scan, const OpclassInfo& opclass);
  HeapRows(const HeapRows&) = delete;
  HeapRows& operator=(const HeapRows&) = delete;

  /// The exact distance between `query` and the value that the visible version of the row at `tid`
  /// has in the index's column or expression. False: none is visible, or its value is null or of
  /// other dimensions (a broken HOT chain that this snapshot does not see). Throws.
  bool Distance(const ItemPointerData& tid, std::span<const float> query, double* distance);

  /// Has these rows read, from disk into the operating system's cache and from there or from
  /// shared buffers into the processor's, while others are worked on. At most kMaxAhead. Throws.
  void ReadAhead(std::span<const ItemPointerData> tids);

  /// Gives back what PostgreSQL wants back by name. Throws.
  void End();

 private:
  void Open();
  bool IsHeap() const;
  bool DistanceOfHeapRow(const ItemPointerData& tid, std::span<const float> query,
                         double* distance);
  bool DistanceOfAnyRow(const ItemPointerData& tid, std::span<const float> query, double* distance);
  bool DistanceOf(Datum value, bool isnull, std::span<const float> query, double* distance);
  void PinBlock(BlockNumber block);
  void Unpin();

  IndexScanDesc scan_;
  const OpclassInfo& opclass_;
  AttrNumber column_;  // 0: an expression
  // Where the pages of the rows read ahead were in shared buffers. Not pinned: only a guess.
  struct Ahead {
    BlockNumber block;
    Buffer buffer;
  };
  std::array<Ahead, kMaxAhead> ahead_;
  size_t n_ahead_ = 0;
  Buffer pinned_ = InvalidBuffer;  // the page of the last row
  MemoryContext row_memory_;       // reset for each row
  IndexInfo* info_ = nullptr;      // of an expression
  EState* estate_ = nullptr;
  IndexFetchTableData* fetch_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
};

}  // namespace vdb::pg
