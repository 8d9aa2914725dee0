#include "pg/am/index_server.h"

#include "pg/catalog/upgrade.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_server.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
Oid DependencyOf(Oid index) {
  Oid server = InvalidOid;
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(RelationRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(index));
  Relation depend = table_open(DependRelationId, AccessShareLock);
  SysScanDesc scan =
      systable_beginscan(depend, DependDependerIndexId, true, nullptr, lengthof(keys), keys);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
    if (form->refclassid == ForeignServerRelationId) server = form->refobjid;
  }
  systable_endscan(scan);
  table_close(depend, AccessShareLock);
  return server;
}

void DependOn(Oid index, Oid server) {
  deleteDependencyRecordsForClass(RelationRelationId, index, ForeignServerRelationId,
                                  DEPENDENCY_NORMAL);
  if (!OidIsValid(server)) return;
  ObjectAddress self, other;
  ObjectAddressSet(self, RelationRelationId, index);
  ObjectAddressSet(other, ForeignServerRelationId, server);
  recordDependencyOn(&self, &other, DEPENDENCY_NORMAL);
}

Mended MendDependency(Relation index) {
  const Oid oid = RelationGetRelid(index);
  const auto in_pages = [&] {
    if (!HasMeta(index)) return DependencyOf(oid);
    const MetaPage meta = ReadMeta(index);
    return IsLocal(meta) ? InvalidOid : ServerOf(oid, meta);
  };
  if (in_pages() == DependencyOf(oid)) return Mended::kNo;
  // REINDEX CONCURRENTLY holds it; the rows must not change while it swaps them.
  if (!ConditionalLockRelationOid(oid, ShareUpdateExclusiveLock)) return Mended::kBusy;
  InvalidateCatalogSnapshot();
  const Oid server = in_pages();
  bool mends = server != DependencyOf(oid);
  if (mends && OidIsValid(server)) {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ForeignServerRelationId, server, 0);
    // Whoever drops it, or purges it, has looked already.
    mends = LockAcquire(&tag, AccessShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
            SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(server));
  }
  if (mends) {
    DependOn(oid, server);
  } else {
    UnlockRelationOid(oid, ShareUpdateExclusiveLock);
  }
  return mends ? Mended::kYes : Mended::kNo;
}

Oid ServerOf(Oid index, const MetaPage& meta) {
  if (meta.incarnation == GetSystemIdentifier()) return meta.server;
  char prefix[64];
  WriteObjectPrefix(meta.incarnation, meta.database, prefix);
  const Oid server = ServerAfterUpgrade(prefix, meta.server);
  // The CREATE INDEX of the upgrade's own dump has named it.
  return OidIsValid(server) ? server : DependencyOf(index);
}

Oid RequireServerOf(Relation index, const MetaPage& meta) {
  const Oid server = ServerOf(RelationGetRelid(index), meta);
  if (!OidIsValid(server)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT),
             errmsg("the store of index \"%s\" is not known", RelationGetRelationName(index)),
             errdetail("It was built before pg_upgrade, in a server that has gone since."),
             errhint("REINDEX the index.")));
  }
  return server;
}

}  // namespace vdb::pg
