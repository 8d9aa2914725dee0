/// The scan: a searcher fed with the delta and the segments, exact distances from heap rows, rows
/// in order.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pg/am/opened.h"
#include "pg/am/opclass.h"
#include "pg/am/tid_walk.h"

namespace vdb::pg {

/// State of one index scan; owned by the scan's memory context, so that an abort destroys it as
/// well.
class IndexScan {
 public:
  explicit IndexScan(IndexScanDesc scan);
  ~IndexScan();
  IndexScan(const IndexScan&) = delete;
  IndexScan& operator=(const IndexScan&) = delete;

  /// A new query value; null: every indexed row, in no order.
  void Rescan(Datum query, bool isnull);
  /// The next row to scan->xs_heaptid. False: there are no more. Throws.
  bool Next();
  /// Gives back what PostgreSQL wants back by name. Throws.
  void Finish();

 private:
  /// A row's value as the index's column or expression gives it.
  enum class Fetched { kRow, kInvisible };

  void Start();
  void Remember() noexcept;
  void AddDelta(const MetaPage& meta);
  Fetched FetchExact(const ItemPointerData& tid, double* distance);
  ItemPointerData TidOf(index::RowId row, bool* alive);
  bool NextUnordered();

  IndexScanDesc scan_;
  Relation index_;
  const OpclassInfo* opclass_;
  MemoryContext row_memory_;  // reset for each row
  std::shared_ptr<OpenedIndex> opened_;
  std::unique_ptr<index::Searcher> searcher_;
  std::vector<std::unique_ptr<IndexSegmentReader>> readers_;
  std::vector<index::Routing> routings_;
  std::vector<std::shared_ptr<const std::vector<uint32_t>>> dead_;  // what readers_ have spans of
  PinSet routing_pins_;
  AlignedBuffer<float> query_;
  bool query_null_ = false;
  bool started_ = false;
  bool value_is_column_;
  AttrNumber column_;
  IndexInfo* info_ = nullptr;  // when the index has an expression
  EState* estate_ = nullptr;
  IndexFetchTableData* fetch_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  uint64_t returned_ = 0;
  uint32_t previous_rows_ = 0;  // returned by the scan before a rescan
  // For a NULL query: all rows, and those of the page at hand.
  std::unique_ptr<TidCursor> all_rows_;
  std::span<const uint64_t> unordered_;
  size_t next_unordered_ = 0;
};

/// What this session's last finished search did: for vdb.last_search().
struct LastSearch {
  Oid index = InvalidOid;
  index::SearchStats stats;
  uint64_t returned = 0;
};
const LastSearch& GetLastSearch();

}  // namespace vdb::pg
