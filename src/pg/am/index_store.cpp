#include "pg/am/index_store.h"

#include <cstring>

#include "pg/am/index_server.h"
#include "pg/am/settings.h"
#include "pg/am/store_option.h"
#include "pg/catalog/store_owner.h"
#include "pg/catalog/store_server.h"

extern "C" {
#include "catalog/index.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/pquery.h"
}

namespace vdb::pg {
namespace {

/// Whether CREATE INDEX makes the index, and not a REINDEX, TRUNCATE or the like anew. REINDEX
/// CONCURRENTLY makes another index, with the same options, and tells nobody but by its name.
bool IsFirstBuild(Relation index) {
  return !ReindexIsProcessingIndex(RelationGetRelid(index)) &&
         std::strstr(RelationGetRelationName(index), "_ccnew") == nullptr;
}

/// The server of that name, locked against a change of it until the transaction ends; InvalidOid:
/// there is none.
Oid LockServer(const char* name) {
  for (;;) {
    const Oid server = get_foreign_server_oid(name, true);
    if (!OidIsValid(server)) return server;
    LockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
    if (get_foreign_server_oid(name, true) == server) return server;
    UnlockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
  }
}

/// The server that an index is rebuilt in although its option does not say so: it was renamed while
/// vdb_ext was not preloaded, which follows renames otherwise (catalog/server_rename.h).
/// InvalidOid: the option counts. named: what server has the name that the option says.
Oid RenamedServer(Relation index, const char* name, Oid named) {
  if (IsFirstBuild(index)) return InvalidOid;
  const Oid server = DependencyOf(RelationGetRelid(index));
  if (!OidIsValid(server) || server == named) return InvalidOid;
  return !OidIsValid(named) || OwnersSay(server, name) ? server : InvalidOid;
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
  Oid server = LockServer(name);
  const Oid renamed = RenamedServer(index, name, server);
  if (OidIsValid(renamed)) {
    server = renamed;
    LockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
  }
  // Says that there is none.
  if (!OidIsValid(server)) get_foreign_server_oid(name, false);
  RequireUsableStore(server, index->rd_rel->relowner,
                     SuperuserPlaces(index) ? Usage::kGiven : Usage::kRequired);
  if (by_default) WriteStoreOption(RelationGetRelid(index), name);
  if (OidIsValid(renamed)) {
    const char* const now = GetForeignServer(server)->servername;
    ereport(NOTICE,
            (errmsg("index \"%s\" stays in server \"%s\", which was renamed since its option "
                    "\"store\" said \"%s\"",
                    RelationGetRelationName(index), now, name)));
    WriteStoreOption(RelationGetRelid(index), now);
  }
  DependOn(RelationGetRelid(index), server);
  return server;
}

}  // namespace vdb::pg
