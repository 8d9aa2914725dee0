#include "pg/pg.h"

#include "pg/gc/drop_guard.h"

#include "pg/am/index_server.h"
#include "pg/catalog/index_list.h"
#include "pg/catalog/ledger.h"
#include "pg/catalog/mirror.h"
#include "pg/catalog/server_rename.h"
#include "pg/catalog/store_owner.h"
#include "pg/catalog/store_server.h"
#include "pg/catalog/upgrade.h"
#include "pg/guard.h"
#include "pg/prewarm/reload.h"
#include "pg/worker/mirror_worker.h"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
}

namespace vdb::pg {
namespace {

object_access_hook_type previous_hook;

void RefuseServer(Oid server) {
  if (!OidIsValid(LedgerTable()) || !IsStoreServer(server)) return;
  if (UpgradeIsPending()) FollowUpgrade();
  const uint64_t rows = CountLedger(server);
  if (rows > 0) {
    const ForeignServer* const found = GetForeignServerExtended(server, FSV_MISSING_OK);
    const char* const name = found == nullptr ? "?" : found->servername;
    ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                    errmsg("cannot drop server \"%s\" while vdb indexes have objects there", name),
                    errdetail("vdb.object has " UINT64_FORMAT " of them.", rows),
                    errhint("Drop the indexes; then vdb.gc() removes the objects when "
                            "vdb.gc_retention has passed, and vdb.purge('%s') at once.",
                            name)));
  }
  ForgetOwners(server);
}

/// The ledger goes with the extension, and only with it.
void RefuseLedger() {
  const uint64_t rows = CountLedger(InvalidOid);
  if (rows == 0) return;
  ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                  errmsg("cannot drop extension vdb_ext while vdb indexes have remote objects"),
                  errdetail("vdb.object has " UINT64_FORMAT " of them.", rows),
                  errhint("Drop the indexes; then vdb.gc() removes the objects when "
                          "vdb.gc_retention has passed, and vdb.purge() at once.")));
}

void DropFromMirror(Oid relation, int flags) {
  // Any relation of the database comes here; and DROP EXTENSION takes the tables first.
  if (!IsPermanentIndex(relation) || !HasMirror()) return;
  if (MirroredManifest(relation) == nullptr && !OidIsValid(DependencyOf(relation))) return;
  // ALTER TABLE may have handed its pages on, to an index that has no rows there yet.
  const bool concurrently = (flags & PERFORM_DELETION_CONCURRENTLY) != 0;
  if ((flags & PERFORM_DELETION_INTERNAL) != 0 && !concurrently) MirrorAfterCommit(relation);
  if (!concurrently) return ForgetInMirror(relation);
  // It must be the first to write in its transaction. If it fails after all, the next worker puts
  // the rows back.
  ForgetInMirrorSoon(relation);
}

}  // namespace
}  // namespace vdb::pg

extern "C" {
static void vdb_object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub,
                              void* argument) {
  if (vdb::pg::previous_hook != nullptr) {
    vdb::pg::previous_hook(access, class_oid, object, sub, argument);
  }
  if (access == OAT_POST_ALTER && class_oid == ForeignServerRelationId) {
    vdb::pg::Entry("vdb_object_access", [&] { vdb::pg::FollowRename(object); });
  }
  if (access != OAT_DROP || sub != 0) return;
  vdb::pg::Entry("vdb_object_access", [&] {
    if (class_oid == ForeignServerRelationId) vdb::pg::RefuseServer(object);
    if (class_oid == DatabaseRelationId) vdb::pg::StopReload(object);
    if (class_oid == RelationRelationId && object == vdb::pg::LedgerTable()) {
      vdb::pg::RefuseLedger();
    }
    if (class_oid == RelationRelationId) {
      vdb::pg::DropFromMirror(object, static_cast<ObjectAccessDrop*>(argument)->dropflags);
    }
  });
}
}

namespace vdb::pg {

void GuardDrops() {
  previous_hook = object_access_hook;
  object_access_hook = vdb_object_access;
}

}  // namespace vdb::pg
