#include "pg/pg.h"

#include "pg/am/store_option.h"

#include <cstring>

#include "pg/catalog/index_list.h"

extern "C" {
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

constexpr char kOption[] = "store";

bool Says(Oid index, const char* name) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) return false;
  bool isnull;
  const Datum options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
  List* const list = isnull ? NIL : untransformRelOptions(options);
  bool says = false;
  for (int i = 0; i < list_length(list); i++) {
    auto* const option = static_cast<DefElem*>(list_nth(list, i));
    says = says || (std::strcmp(option->defname, kOption) == 0 &&
                    std::strcmp(defGetString(option), name) == 0);
  }
  ReleaseSysCache(tuple);
  return says;
}

}  // namespace

void WriteStoreOption(Oid index, const char* name) {
  Relation catalog = table_open(RelationRelationId, RowExclusiveLock);
  HeapTuple tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for index %u", index);
  bool isnull;
  const Datum before = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
  List* const added = list_make1(
      makeDefElem(pstrdup(kOption), reinterpret_cast<Node*>(makeString(pstrdup(name))), -1));
  Datum values[Natts_pg_class] = {};
  bool nulls[Natts_pg_class] = {};
  bool replace[Natts_pg_class] = {};
  values[Anum_pg_class_reloptions - 1] =
      transformRelOptions(isnull ? Datum{0} : before, added, nullptr, nullptr, false, false);
  replace[Anum_pg_class_reloptions - 1] = true;
  tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replace);
  CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
  table_close(catalog, RowExclusiveLock);
  CommandCounterIncrement();
}

void RenameStoreOptions(const char* from, const char* to) {
  List* const indexes = IndexesWithOptions();
  for (int i = 0; i < list_length(indexes); i++) {
    const Oid index = list_nth_oid(indexes, i);
    if (!Says(index, from)) continue;
    LockRelationOid(index, ShareUpdateExclusiveLock);
    if (Says(index, from)) WriteStoreOption(index, to);
  }
}

}  // namespace vdb::pg
