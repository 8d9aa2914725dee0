/// The scan: a searcher fed with the delta and the segments, exact distances from heap rows, rows
/// in order.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pg/am/heap_rows.h"
#include "pg/am/opened.h"
#include "pg/am/opclass.h"
#include "pg/am/tid_walk.h"
#include "pg/store/chunk_vectors.h"
#include "pg/store/remote_reader.h"

namespace vdb::pg {

/// What a search has used of what its session counts.
struct SearchUse {
  CacheUse cache;
  RemoteReads remote;
};

/// Where the time of a search went. What the executor and the client do between rows is in none.
struct SearchTimes {
  int64_t ranking_ns = 0;   // opening the index, ranking its lists
  int64_t scanning_ns = 0;  // codes of lists and delta
  int64_t fetching_ns = 0;  // frames and routing that were not in the cache
  int64_t exact_ns = 0;     // exact distances, reading the rows included
  int64_t total_ns() const { return ranking_ns + scanning_ns + fetching_ns + exact_ns; }
};

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
  void Start();
  void Remember() noexcept;
  SearchTimes Times() const;
  void AddDelta(const MetaPage& meta);
  ItemPointerData TidOf(index::RowId row, bool* alive);
  void ReadAhead(index::RowId next);
  void ReadTids(std::span<const index::RowId> rows);
  double ChunkDistance(index::RowId row);
  bool NextUnordered();

  IndexScanDesc scan_;
  Relation index_;
  const OpclassInfo* opclass_;
  HeapRows heap_rows_;
  std::shared_ptr<OpenedIndex> opened_;
  std::unique_ptr<index::Searcher> searcher_;
  std::vector<std::unique_ptr<IndexSegmentReader>> readers_;
  // Of each segment, when exact distances come from there; else empty.
  std::vector<std::unique_ptr<ChunkVectors>> chunk_vectors_;
  // Vectors that have been read from there: of row vector_rows_[i] at i * vector bytes.
  std::vector<index::RowId> vector_rows_;
  AlignedBuffer<uint8_t> vectors_;
  size_t vector_batch_ = 0;  // so many are read together the next time
  std::vector<index::Routing> routings_;
  std::vector<std::shared_ptr<const std::vector<uint32_t>>> dead_;  // what readers_ have spans of
  PinSet routing_pins_;
  AlignedBuffer<float> query_;
  bool query_null_ = false;
  bool started_ = false;
  size_t ahead_ = 0;         // rows that have been read ahead and not been asked for
  uint64_t exact_read_ = 0;  // rows, from the table
  uint64_t returned_ = 0;
  SearchUse use_;
  SearchTimes times_;           // but for what use_ and the searcher know
  int64_t exact_fetch_ns_ = 0;  // of use_, for exact distances
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
  SearchUse use;
  SearchTimes times;
};
const LastSearch& GetLastSearch();

}  // namespace vdb::pg
