#include "pg/am/index_store.h"

#include <cstring>

#include "pg/am/index_server.h"
#include "pg/am/settings.h"
#include "pg/catalog/store_server.h"

extern "C" {
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

/// Whether CREATE INDEX makes the index, and not a REINDEX, TRUNCATE or the like anew. REINDEX
/// CONCURRENTLY makes another index, with the same options, and tells nobody but by its name.
bool IsFirstBuild(Relation index) {
  return !ReindexIsProcessingIndex(RelationGetRelid(index)) &&
         std::strstr(RelationGetRelationName(index), "_ccnew") == nullptr;
}

void WriteStoreOption(Relation index, const char* name) {
  Relation catalog = table_open(RelationRelationId, RowExclusiveLock);
  HeapTuple tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(RelationGetRelid(index)));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for an index that is being built");
  bool isnull;
  const Datum before = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
  char option[] = "store";
  List* const added =
      list_make1(makeDefElem(option, reinterpret_cast<Node*>(makeString(pstrdup(name))), -1));
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

}  // namespace

Oid StoreServerFor(Relation index) {
  const bool permanent = index->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT;
  const char* name = StoreOf(index);
  const bool by_default =
      name == nullptr && permanent && settings.default_store[0] != '\0' && IsFirstBuild(index);
  if (by_default) name = settings.default_store;
  if (name == nullptr || std::strcmp(name, kLocalStore) == 0) {
    DependOn(RelationGetRelid(index), InvalidOid);
    return InvalidOid;
  }
  if (!permanent) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("index \"%s\" cannot be kept in store \"%s\"",
                           RelationGetRelationName(index), name),
                    errdetail("Temporary and unlogged indexes are always local.")));
  }
  const Oid server = get_foreign_server_oid(name, false);
  RequireUsableStore(server, index->rd_rel->relowner);
  if (by_default) WriteStoreOption(index, pstrdup(name));
  DependOn(RelationGetRelid(index), server);
  return server;
}

}  // namespace vdb::pg
