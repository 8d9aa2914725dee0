#include "pg/am/handler.h"

#include "pg/am/opclass.h"
#include "pg/am/settings.h"
#include "pg/compat.h"

extern "C" {
#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "utils/catcache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
}

VDB_FUNCTION(vdb_am_handler) {
  IndexAmRoutine* am = makeNode(IndexAmRoutine);
  am->amstrategies = 0;
  am->amsupport = vdb::pg::kOpclassInfoProc;
  am->amcanorderbyop = true;
  am->amoptionalkey = true;
  am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
  am->amkeytype = InvalidOid;
  vdb::pg::compat::AllowParallelBuild(am);
  am->ambuild = vdb_am_build;
  am->ambuildempty = vdb_am_buildempty;
  am->aminsert = vdb_am_insert;
  am->ambulkdelete = vdb_am_bulkdelete;
  am->amvacuumcleanup = vdb_am_vacuumcleanup;
  am->amcostestimate = vdb_am_costestimate;
  am->amoptions = vdb_am_options;
  am->ambuildphasename = vdb_am_buildphasename;
  am->amvalidate = vdb_am_validate;
  am->ambeginscan = vdb_am_beginscan;
  am->amrescan = vdb_am_rescan;
  am->amgettuple = vdb_am_gettuple;
  am->amendscan = vdb_am_endscan;
  PG_RETURN_POINTER(am);
}

extern "C" bytea* vdb_am_options(Datum reloptions, bool validate) {
  return vdb::pg::ParseIndexOptions(reloptions, validate);
}

extern "C" char* vdb_am_buildphasename(int64 phase) {
  switch (phase) {
    case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
      return pstrdup("initializing");
    case vdb::pg::kPhaseSample:
      return pstrdup("sampling table");
    case vdb::pg::kPhaseTrain:
      return pstrdup("training lists");
    case vdb::pg::kPhaseEncode:
      return pstrdup("encoding rows");
    case vdb::pg::kPhaseSort:
      return pstrdup("sorting codes");
    case vdb::pg::kPhaseWrite:
      return pstrdup("writing chunks");
    default:
      return nullptr;
  }
}

/// An opclass has one ordering operator, float8-valued, and one support function from internal to
/// internal.
extern "C" bool vdb_am_validate(Oid opclass_oid) {
  bool valid = true;
  HeapTuple class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass_oid));
  if (!HeapTupleIsValid(class_tuple)) {
    elog(ERROR, "cache lookup failed for operator class %u", opclass_oid);
  }
  auto* opclass = reinterpret_cast<Form_pg_opclass>(GETSTRUCT(class_tuple));
  const Oid family = opclass->opcfamily;
  const char* name = NameStr(opclass->opcname);

  CatCList* operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
  for (int i = 0; i < operators->n_members; i++) {
    auto* entry = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple));
    if (entry->amopstrategy != 1 || entry->amoppurpose != AMOP_ORDER) {
      ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                     errmsg("operator class \"%s\" of access method vdb contains operator %s with "
                            "wrong strategy or purpose",
                            name, format_operator(entry->amopopr))));
      valid = false;
    } else if (!check_amop_signature(entry->amopopr, FLOAT8OID, entry->amoplefttype,
                                     entry->amoprighttype)) {
      ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                     errmsg("operator class \"%s\" of access method vdb contains operator %s with "
                            "wrong signature",
                            name, format_operator(entry->amopopr))));
      valid = false;
    }
  }
  CatCList* functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
  bool has_info = false;
  for (int i = 0; i < functions->n_members; i++) {
    auto* entry = reinterpret_cast<Form_pg_amproc>(GETSTRUCT(&functions->members[i]->tuple));
    if (entry->amprocnum != vdb::pg::kOpclassInfoProc ||
        !check_amproc_signature(entry->amproc, INTERNALOID, false, 1, 1, INTERNALOID)) {
      ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                     errmsg("operator class \"%s\" of access method vdb contains function %s with "
                            "wrong number or signature",
                            name, format_procedure(entry->amproc))));
      valid = false;
    } else {
      has_info = true;
    }
  }
  if (!has_info) {
    ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                   errmsg("operator class \"%s\" of access method vdb is missing support function "
                          "1",
                          name)));
    valid = false;
  }
  ReleaseCatCacheList(functions);
  ReleaseCatCacheList(operators);
  ReleaseSysCache(class_tuple);
  return valid;
}
