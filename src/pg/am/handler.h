/// The access method's callbacks, each in the file of its group.
#pragma once

#include "pg/pg.h"

extern "C" {
IndexBuildResult* vdb_am_build(Relation heap, Relation index, IndexInfo* info);
void vdb_am_buildempty(Relation index);
bool vdb_am_insert(Relation index, Datum* values, bool* isnull, ItemPointer tid, Relation heap,
                   IndexUniqueCheck check, bool unchanged, IndexInfo* info);
IndexBulkDeleteResult* vdb_am_bulkdelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                         IndexBulkDeleteCallback callback, void* state);
IndexBulkDeleteResult* vdb_am_vacuumcleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats);
void vdb_am_costestimate(PlannerInfo* root, IndexPath* path, double loop_count, Cost* startup_cost,
                         Cost* total_cost, Selectivity* selectivity, double* correlation,
                         double* pages);
bytea* vdb_am_options(Datum reloptions, bool validate);
char* vdb_am_buildphasename(int64 phase);
bool vdb_am_validate(Oid opclass);
IndexScanDesc vdb_am_beginscan(Relation index, int n_keys, int n_order_bys);
void vdb_am_rescan(IndexScanDesc scan, ScanKey keys, int n_keys, ScanKey order_bys,
                   int n_order_bys);
bool vdb_am_gettuple(IndexScanDesc scan, ScanDirection direction);
void vdb_am_endscan(IndexScanDesc scan);
}

namespace vdb::pg {

/// Build phases beyond PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE (1), as pg_stat_progress_create_index
/// shows them.
enum BuildPhase : int64 {
  kPhaseSample = 2,
  kPhaseTrain,
  kPhaseEncode,
  kPhaseSort,
  kPhaseWrite,
};

}  // namespace vdb::pg
