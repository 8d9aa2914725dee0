#include "pg/am/heap_rows.h"

#include "base/prefetch.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "access/heapam.h"
}

namespace vdb::pg {
namespace {

// Of a row: the header and the first part of its vector. What follows the processor fetches by
// itself once it is read in order.
constexpr size_t kAheadBytes = 512;

/// Asks for the page's header and the row's line pointer.
void PrefetchLinePointer(Page page, OffsetNumber offset) {
  Prefetch(page, SizeOfPageHeaderData);
  Prefetch(PageGetItemId(page, offset), sizeof(ItemIdData));
}

/// Asks for the row. The page is not pinned: what its line pointer says is only a guess where the
/// row may be, and nothing but the processor's cache sees it.
void PrefetchRow(Page page, OffsetNumber offset) {
  const unsigned start = ItemIdGetOffset(PageGetItemId(page, offset));
  if (start < BLCKSZ) {
    Prefetch(static_cast<const char*>(page) + start, Min(kAheadBytes, size_t{BLCKSZ} - start));
  }
}

}  // namespace

HeapRows::HeapRows(IndexScanDesc scan, const OpclassInfo& opclass)
    : scan_(scan),
      opclass_(opclass),
      column_(scan->indexRelation->rd_index->indkey.values[0]),
      row_memory_(Call([] {
        return AllocSetContextCreate(CurrentMemoryContext, "vdb scan row", ALLOCSET_DEFAULT_SIZES);
      })) {}

/// ereports.
void HeapRows::Open() {
  MemoryContext old = MemoryContextSwitchTo(MemoryContextGetParent(row_memory_));
  fetch_ = table_index_fetch_begin(scan_->heapRelation);
  slot_ = table_slot_create(scan_->heapRelation, nullptr);
  if (column_ == 0) {
    info_ = BuildIndexInfo(scan_->indexRelation);
    estate_ = CreateExecutorState();
    GetPerTupleExprContext(estate_)->ecxt_scantuple = slot_;
  }
  MemoryContextSwitchTo(old);
}

/// Whether the table's access method is PostgreSQL's own: others may mean something else by a
/// block.
bool HeapRows::IsHeap() const {
  return scan_->heapRelation->rd_tableam == GetHeapamTableAmRoutine();
}

bool HeapRows::Distance(const ItemPointerData& tid, std::span<const float> query,
                        double* distance) {
  return Call([&] {
    // Thousands of invisible rows may come in a row.
    CHECK_FOR_INTERRUPTS();
    const bool found = column_ != 0 && IsHeap() ? DistanceOfHeapRow(tid, query, distance)
                                                : DistanceOfAnyRow(tid, query, distance);
    MemoryContextReset(row_memory_);
    return found;
  });
}

/// What table_index_fetch_tuple does, without a slot and, where the row was read ahead, without
/// looking for its page a second time. ereports.
bool HeapRows::DistanceOfHeapRow(const ItemPointerData& tid, std::span<const float> query,
                                 double* distance) {
  const Relation table = scan_->heapRelation;
  PinBlock(ItemPointerGetBlockNumber(&tid));
  ItemPointerData current = tid;
  HeapTupleData row;
  LockBuffer(pinned_, BUFFER_LOCK_SHARE);
  const bool visible =
      heap_hot_search_buffer(&current, table, pinned_, scan_->xs_snapshot, &row, nullptr, true);
  LockBuffer(pinned_, BUFFER_LOCK_UNLOCK);
  if (!visible) return false;
  bool isnull;
  const Datum value = heap_getattr(&row, column_, RelationGetDescr(table), &isnull);
  return DistanceOf(value, isnull, query, distance);
}

/// ereports.
bool HeapRows::DistanceOfAnyRow(const ItemPointerData& tid, std::span<const float> query,
                                double* distance) {
  if (fetch_ == nullptr) Open();
  ItemPointerData current = tid;
  bool again = false, all_dead = false;
  if (!table_index_fetch_tuple(fetch_, &current, scan_->xs_snapshot, slot_, &again, &all_dead)) {
    return false;
  }
  MemoryContext old = MemoryContextSwitchTo(row_memory_);
  Datum value;
  bool isnull;
  if (column_ != 0) {
    value = slot_getattr(slot_, column_, &isnull);
  } else {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(info_, slot_, estate_, values, nulls);
    value = values[0];
    isnull = nulls[0];
  }
  MemoryContextSwitchTo(old);
  const bool found = DistanceOf(value, isnull, query, distance);
  if (estate_ != nullptr) ResetPerTupleExprContext(estate_);
  return found;
}

/// ereports.
bool HeapRows::DistanceOf(Datum value, bool isnull, std::span<const float> query,
                          double* distance) {
  if (isnull) return false;
  MemoryContext old = MemoryContextSwitchTo(row_memory_);
  void* copy;
  const Elements elements = ViewElements(opclass_, value, &copy);
  MemoryContextSwitchTo(old);
  if (elements.dim != query.size()) return false;
  *distance = ExactDistance(opclass_.metric, query.data(), elements);
  return true;
}

/// Pins that page of the table in place of the one before. ereports.
void HeapRows::PinBlock(BlockNumber block) {
  if (BufferIsValid(pinned_)) {
    if (BufferGetBlockNumber(pinned_) == block) return;
    Unpin();
  }
  const Relation table = scan_->heapRelation;
  for (size_t i = 0; i < n_ahead_; ++i) {
    if (ahead_[i].block == block &&
        ReadRecentBuffer(compat::LocatorOf(table), MAIN_FORKNUM, block, ahead_[i].buffer)) {
      pgstat_count_buffer_read(table);
      pgstat_count_buffer_hit(table);
      pinned_ = ahead_[i].buffer;
      break;
    }
  }
  if (!BufferIsValid(pinned_)) pinned_ = ReadBuffer(table, block);
  heap_page_prune_opt(table, pinned_);
}

void HeapRows::Unpin() {
  const Buffer buffer = pinned_;
  pinned_ = InvalidBuffer;
  if (BufferIsValid(buffer)) ReleaseBuffer(buffer);
}

void HeapRows::ReadAhead(std::span<const ItemPointerData> tids) {
  if (!IsHeap()) return;
  const Relation table = scan_->heapRelation;
  Page pages[kMaxAhead] = {};
  Call([&] {
    n_ahead_ = 0;
    for (size_t i = 0; i < tids.size(); ++i) {
      const BlockNumber block = ItemPointerGetBlockNumber(&tids[i]);
      const Buffer buffer = PrefetchBuffer(table, MAIN_FORKNUM, block).recent_buffer;
      if (!BufferIsValid(buffer)) continue;
      ahead_[n_ahead_++] = {block, buffer};
      pages[i] = BufferGetPage(buffer);
      PrefetchLinePointer(pages[i], ItemPointerGetOffsetNumber(&tids[i]));
    }
  });
  for (size_t i = 0; i < tids.size(); ++i) {
    if (pages[i] != nullptr) PrefetchRow(pages[i], ItemPointerGetOffsetNumber(&tids[i]));
  }
}

void HeapRows::End() {
  Call([&] {
    Unpin();
    if (fetch_ != nullptr) table_index_fetch_end(fetch_);
    if (slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_);
    if (estate_ != nullptr) FreeExecutorState(estate_);
  });
  fetch_ = nullptr;
  slot_ = nullptr;
  estate_ = nullptr;
}

}  // namespace vdb::pg
