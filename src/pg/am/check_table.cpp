#include "base/strcat.h"
#include "pg/am/check.h"
#include "pg/am/delta.h"
#include "pg/am/opclass.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "catalog/pg_operator_d.h"
}

namespace vdb::pg {

namespace {

/// A sort of TIDs as numbers, with half of maintenance_work_mem. May ereport.
Tuplesortstate* BeginTidSort() {
  return tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false,
                               maintenance_work_mem / 2, nullptr, TUPLESORT_NONE);
}

struct ScanState {
  Tuplesortstate* sort;
  const OpclassInfo* opclass;
};

/// Called for each row that the snapshot sees, with the root of its HOT chain.
void CollectRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
  const auto* state = static_cast<ScanState*>(arg);
  if (isnull[0]) return;
  if (state->opclass->metric == Metric::kCosine) {
    void* copy;
    const bool zero = IsZero(ViewElements(*state->opclass, values[0], &copy));
    if (copy != nullptr) pfree(copy);
    if (zero) return;
  }
  tuplesort_putdatum(state->sort, Int64GetDatum(static_cast<int64>(PackTid(*tid))), false);
}

std::string TidText(uint64_t tid) { return StrCat("(", tid >> 16, ",", tid & 0xffff, ")"); }

}  // namespace

TableCheck::TableCheck(Relation table, Relation index, Snapshot snapshot, bool once)
    : table_(table),
      index_(index),
      snapshot_(snapshot),
      once_(once),
      indexed_(Call([] { return BeginTidSort(); })) {}

void TableCheck::Add(std::span<const uint64_t> tids) {
  Call([&] {
    for (const uint64_t tid : tids) {
      tuplesort_putdatum(indexed_, Int64GetDatum(static_cast<int64>(tid)), false);
    }
  });
}

void TableCheck::Run() {
  Call([&] { tuplesort_performsort(indexed_); });
  ScanTable();
  Compare();
  Call([&] {
    tuplesort_end(visible_);
    tuplesort_end(indexed_);
  });
}

void TableCheck::ScanTable() {
  Call([&] {
    ScanState state = {BeginTidSort(), &OpclassOf(index_)};
    IndexInfo* info = BuildIndexInfo(index_);
    // Rows of transactions in progress are none of ours: the snapshot decides, as it does for a
    // concurrent build.
    info->ii_Concurrent = true;
    info->ii_Unique = false;
    TableScanDesc scan = table_beginscan_strat(table_, snapshot_, 0, nullptr, true, true);
    table_index_build_scan(table_, index_, info, true, false, CollectRow, &state, scan);
    tuplesort_performsort(state.sort);
    visible_ = state.sort;
  });
}

void TableCheck::Compare() {
  const BlockNumber blocks = Call([&] { return RelationGetNumberOfBlocks(table_); });
  const auto next = [](Tuplesortstate* sort, uint64_t* tid) {
    return Call([&] {
      Datum value;
      bool isnull;
      if (!compat::NextSorted(sort, &value, &isnull)) return false;
      *tid = static_cast<uint64_t>(DatumGetInt64(value));
      return true;
    });
  };
  uint64_t row = 0, indexed = 0, n = 0;
  bool more_rows = next(visible_, &row);
  for (uint64_t previous = 0; next(indexed_, &indexed); previous = indexed) {
    if (++n % 4096 == 0) Call([] { CHECK_FOR_INTERRUPTS(); });
    if (once_ && indexed == previous) {
      ThrowIfError(DamagedIndex(index_, StrCat("row ", TidText(indexed), " is in it twice")));
    }
    if (indexed >> 16 >= blocks) {
      ThrowIfError(DamagedIndex(
          index_, StrCat("row ", TidText(indexed), " lies beyond the end of its table")));
    }
    if (more_rows && row < indexed) break;
    if (more_rows && row == indexed) more_rows = next(visible_, &row);
  }
  if (more_rows) {
    ThrowIfError(DamagedIndex(index_, StrCat("row ", TidText(row), " is missing from it")));
  }
}

}  // namespace vdb::pg
