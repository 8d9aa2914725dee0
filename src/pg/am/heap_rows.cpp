#include "pg/am/heap_rows.h"

#include "base/prefetch.h"
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

bool HeapRows::Distance(const ItemPointerData& tid, std::span<const float> query,
                        double* distance) {
  return Call([&] {
    // Thousands of invisible rows may come in a row.
    CHECK_FOR_INTERRUPTS();
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
    bool found = false;
    if (!isnull) {
      void* copy;
      const Elements elements = ViewElements(opclass_, value, &copy);
      if (elements.dim == query.size()) {
        *distance = ExactDistance(opclass_.metric, query.data(), elements);
        found = true;
      }
    }
    MemoryContextSwitchTo(old);
    MemoryContextReset(row_memory_);
    if (estate_ != nullptr) ResetPerTupleExprContext(estate_);
    return found;
  });
}

void HeapRows::ReadAhead(std::span<const ItemPointerData> tids) {
  const Relation table = scan_->heapRelation;
  // Other table access methods may mean something else by a block.
  if (table->rd_tableam != GetHeapamTableAmRoutine()) return;
  Page pages[kMaxAhead] = {};
  Call([&] {
    for (size_t i = 0; i < tids.size(); ++i) {
      const PrefetchBufferResult found =
          PrefetchBuffer(table, MAIN_FORKNUM, ItemPointerGetBlockNumber(&tids[i]));
      pages[i] = BufferIsValid(found.recent_buffer) ? BufferGetPage(found.recent_buffer) : nullptr;
      if (pages[i] != nullptr) PrefetchLinePointer(pages[i], ItemPointerGetOffsetNumber(&tids[i]));
    }
  });
  for (size_t i = 0; i < tids.size(); ++i) {
    if (pages[i] != nullptr) PrefetchRow(pages[i], ItemPointerGetOffsetNumber(&tids[i]));
  }
}

void HeapRows::End() {
  Call([&] {
    if (fetch_ != nullptr) table_index_fetch_end(fetch_);
    if (slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_);
    if (estate_ != nullptr) FreeExecutorState(estate_);
  });
  fetch_ = nullptr;
  slot_ = nullptr;
  estate_ = nullptr;
}

}  // namespace vdb::pg
