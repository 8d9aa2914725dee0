// An index access method that knows nothing and returns ten rows from all over the table, whatever
// is asked: what PostgreSQL alone takes for a search of ten, from the parameter to the last row.
extern "C" {
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/relscan.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "utils/float.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(vdb_floor_handler);
}

namespace {

constexpr int kRows = 10;

IndexBuildResult* Build(Relation heap, Relation, IndexInfo*) {
  auto* result = static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
  result->heap_tuples = result->index_tuples = heap->rd_rel->reltuples;
  return result;
}

void BuildEmpty(Relation) {}

bool Insert(Relation, Datum*, bool*, ItemPointer, Relation, IndexUniqueCheck, bool, IndexInfo*) {
  return false;
}

IndexBulkDeleteResult* BulkDelete(IndexVacuumInfo*, IndexBulkDeleteResult* stats,
                                  IndexBulkDeleteCallback, void*) {
  return stats;
}

IndexBulkDeleteResult* VacuumCleanup(IndexVacuumInfo*, IndexBulkDeleteResult* stats) {
  return stats;
}

void EstimateCost(PlannerInfo*, IndexPath* path, double, Cost* startup, Cost* total,
                  Selectivity* selectivity, double* correlation, double* pages) {
  *startup = *total = path->indexorderbys == NIL ? get_float8_infinity() : 0;
  *selectivity = 1;
  *correlation = *pages = 0;
}

bytea* Options(Datum, bool) { return nullptr; }

bool Validate(Oid) { return true; }

IndexScanDesc BeginScan(Relation index, int n_keys, int n_order_bys) {
  IndexScanDesc scan = RelationGetIndexScan(index, n_keys, n_order_bys);
  scan->opaque = palloc0(sizeof(int));
  return scan;
}

void Rescan(IndexScanDesc scan, ScanKey, int, ScanKey order_bys, int n_order_bys) {
  *static_cast<int*>(scan->opaque) = 0;
  if (n_order_bys > 0) memmove(scan->orderByData, order_bys, sizeof(ScanKeyData) * n_order_bys);
}

bool GetTuple(IndexScanDesc scan, ScanDirection) {
  int* done = static_cast<int*>(scan->opaque);
  if (*done == kRows) return false;
  // The executor looks at these only when it is asked to check the order again.
  scan->xs_recheck = false;
  scan->xs_recheckorderby = false;
  // As ANALYZE has counted them: asking the file would cost a system call.
  const auto blocks = static_cast<uint64>(scan->heapRelation->rd_rel->relpages);
  ItemPointerSet(&scan->xs_heaptid,
                 static_cast<BlockNumber>(blocks * static_cast<uint64>(*done) / kRows), 1);
  ++*done;
  return true;
}

void EndScan(IndexScanDesc) {}

}  // namespace

extern "C" Datum vdb_floor_handler(PG_FUNCTION_ARGS) {
  IndexAmRoutine* am = makeNode(IndexAmRoutine);
  am->amstrategies = 0;
  am->amsupport = 0;
  am->amcanorderbyop = true;
  am->amoptionalkey = true;
  am->ambuild = Build;
  am->ambuildempty = BuildEmpty;
  am->aminsert = Insert;
  am->ambulkdelete = BulkDelete;
  am->amvacuumcleanup = VacuumCleanup;
  am->amcostestimate = EstimateCost;
  am->amoptions = Options;
  am->amcostestimate = EstimateCost;
  am->amvalidate = Validate;
  am->ambeginscan = BeginScan;
  am->amrescan = Rescan;
  am->amgettuple = GetTuple;
  am->amendscan = EndScan;
  PG_RETURN_POINTER(am);
}
