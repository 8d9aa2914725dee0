#include "pg/pg.h"

#include "pg/catalog/server_rename.h"

#include <cstring>

#include "pg/am/settings.h"
#include "pg/am/store_option.h"
#include "pg/catalog/ledger.h"
#include "pg/catalog/store_owner.h"
#include "pg/catalog/store_server.h"
#include "pg/catalog/upgrade.h"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
}

namespace vdb::pg {
namespace {

/// As this command leaves it, which nobody else sees yet, nor does the catalog cache.
const char* NewName(Oid server) {
  const char* name = nullptr;
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(server));
  Relation table = table_open(ForeignServerRelationId, AccessShareLock);
  SysScanDesc scan =
      systable_beginscan(table, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
  if (HeapTuple tuple = systable_getnext(scan)) {
    name = pstrdup(NameStr(reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple))->srvname));
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return name;
}

}  // namespace

void FollowRename(Oid server) {
  // In any database, whatever the server is.
  if (!OidIsValid(get_index_am_oid("vdb", true)) || !OidIsValid(LedgerTable())) return;
  const ForeignServer* const before = GetForeignServerExtended(server, FSV_MISSING_OK);
  const char* const name = NewName(server);
  if (before == nullptr || name == nullptr || std::strcmp(before->servername, name) == 0) return;
  // `local` in an option is never a server's name.
  if (std::strcmp(before->servername, kLocalStore) == 0) return;
  if (!IsStoreServer(server)) return;
  // By the names that there were.
  if (UpgradeIsPending()) FollowUpgrade();
  if (!RenameOwners(server, name) && std::strcmp(name, kLocalStore) == 0) return;
  if (std::strcmp(name, kLocalStore) == 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
                    errmsg("a store of vdb indexes cannot be named \"%s\"", name),
                    errdetail("Indexes with that option keep their objects in their own pages.")));
  }
  RenameStoreOptions(before->servername, name);
}

}  // namespace vdb::pg
