#include "pg/pg.h"

#include "pg/store/build_ledger.h"

#include <algorithm>

#include "pg/catalog/upgrade.h"
#include "pg/compat.h"
#include "pg/gc/owner_record.h"
#include "pg/guard.h"
#include "pg/module.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_foreign_server.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace vdb::pg {
namespace {

/// Objects must be findable later, by the server that their rows name.
void RequireLastingServer(Oid server) {
  LockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
  HeapTuple tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server));
  if (!HeapTupleIsValid(tuple)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("the server of the index's store was dropped")));
  }
  if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data))) {
    const auto* const form = reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple));
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("server \"%s\" was created or changed in this transaction",
                           NameStr(form->srvname)),
                    errdetail("If it were rolled back, nobody would know where the objects are."),
                    errhint("COMMIT before an index is built there.")));
  }
  ReleaseSysCache(tuple);
}

void RequirePreload() {
  if (IsPreloaded()) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("vdb_ext must be preloaded to store objects remotely"),
                  errhint("Add vdb_ext to shared_preload_libraries.")));
}

/// What must hold before a worker is worth its start.
Oid CheckedOwner(Relation index, Oid server) {
  Call([&] {
    RequirePreload();
    RequireLastingServer(server);
  });
  return index->rd_rel->relowner;
}

}  // namespace

FullTransactionId BuilderId() { return GetCurrentFullTransactionId(); }

BuildLedger::BuildLedger(Relation index, const MetaPage& meta, store::ObjectStore& store)
    : meta_(meta), owner_(CheckedOwner(index, meta.server)) {
  if (Call([] { return UpgradeIsPending(); })) worker_.TryFollowUpgrade();
  OwnerRecord(store, meta.server, ObjectPrefix(meta.incarnation, meta.database)).Establish(worker_);
}

void BuildLedger::Add(const store::ObjectRef& object) {
  LedgerRow row = {};
  std::copy(object.digest.begin(), object.digest.end(), row.key.id);
  row.key.server = meta_.server;
  row.owner = owner_;
  row.database = meta_.database;
  std::copy_n(meta_.uuid, sizeof(row.index), row.index);
  row.size = object.size;
  row.builder = Call([] { return BuilderId(); });
  row.created = GetCurrentTimestamp();
  object.name.copy(row.name, sizeof(row.name) - 1);
  worker_.Ask(RequestKind::kAddObjects, row);
}

void BuildLedger::Close() { worker_.Close(); }

}  // namespace vdb::pg
