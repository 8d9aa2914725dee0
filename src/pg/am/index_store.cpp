#include "pg/am/index_store.h"

#include <cstring>

#include "pg/am/index_server.h"
#include "pg/am/settings.h"
#include "pg/catalog/store_server.h"

extern "C" {
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/pquery.h"
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

/// The CREATE INDEX that the client has sent, if it has sent one.
const IndexStmt* ClientsCreateIndex() {
  if (ActivePortal == nullptr || list_length(ActivePortal->stmts) != 1) return nullptr;
  const PlannedStmt* const planned = linitial_node(PlannedStmt, ActivePortal->stmts);
  if (planned->utilityStmt == nullptr || !IsA(planned->utilityStmt, IndexStmt)) return nullptr;
  return reinterpret_cast<const IndexStmt*>(planned->utilityStmt);
}

}  // namespace

bool SuperuserPlaces(Relation index) {
  if (!superuser_arg(GetOuterUserId()) || !IsFirstBuild(index)) return false;
  const IndexStmt* const statement = ClientsCreateIndex();
  if (statement == nullptr) return false;
  const char* const name = StoreOf(index);
  for (int i = 0; i < list_length(statement->options); i++) {
    auto* const option = static_cast<DefElem*>(list_nth(statement->options, i));
    if (std::strcmp(option->defname, "store") == 0) {
      return name != nullptr && std::strcmp(defGetString(option), name) == 0;
    }
  }
  return false;
}

Oid StoreServerFor(Relation index) {
  if (IsBinaryUpgrade) {
    const char* const in_dump = StoreOf(index);
    const bool remote = in_dump != nullptr && std::strcmp(in_dump, kLocalStore) != 0;
    DependOn(RelationGetRelid(index), remote ? get_foreign_server_oid(in_dump, true) : InvalidOid);
    return InvalidOid;
  }
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
  RequireUsableStore(server, index->rd_rel->relowner,
                     SuperuserPlaces(index) ? Usage::kGiven : Usage::kRequired);
  if (by_default) WriteStoreOption(index, pstrdup(name));
  DependOn(RelationGetRelid(index), server);
  return server;
}

}  // namespace vdb::pg
