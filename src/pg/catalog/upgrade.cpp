#include "pg/pg.h"

#include "pg/catalog/upgrade.h"

#include <cstring>

#include "pg/catalog/ledger.h"
#include "pg/catalog/own_table.h"
#include "pg/catalog/server_move.h"
#include "pg/catalog/store_owner.h"

extern "C" {
#include "access/table.h"
#include "access/xlog.h"
#include "foreign/foreign.h"
#include "storage/lmgr.h"
}

namespace vdb::pg {
namespace {

bool IsOfThisCluster(const OwnerRow& row) { return row.cluster == GetSystemIdentifier(); }

}  // namespace

Oid ServerAfterUpgrade(const char* prefix, Oid built_as) {
  for (const OwnerRow& row : ReadOwners()) {
    if (row.built_as != built_as || std::strcmp(row.prefix, prefix) != 0) continue;
    return IsOfThisCluster(row) ? row.server : get_foreign_server_oid(row.name, true);
  }
  return InvalidOid;
}

bool UpgradeIsPending() {
  // DROP EXTENSION may have taken the table already.
  if (!OidIsValid(OwnRelationIfAny("store_owner"))) return false;
  for (const OwnerRow& row : ReadOwners()) {
    if (!IsOfThisCluster(row)) return true;
  }
  return false;
}

void FollowUpgrade() {
  // One at a time, until its transaction ends.
  LockRelationOid(OwnRelation("store_owner"), ShareUpdateExclusiveLock);
  const std::span<OwnerRow> rows = ReadOwners();
  auto* const moves = static_cast<ServerMove*>(palloc((rows.size() + 1) * sizeof(ServerMove)));
  size_t n = 0;
  for (const OwnerRow& row : rows) {
    if (IsOfThisCluster(row)) continue;
    const Oid server = get_foreign_server_oid(row.name, true);
    if (!OidIsValid(server)) {
      ereport(WARNING,
              (errmsg("server \"%s\", which objects of vdb indexes are in, does not exist after "
                      "pg_upgrade",
                      row.name),
               errhint("Give the server that it was this name.")));
      continue;
    }
    ServerMove& move = moves[n++];
    move.from = row.server;
    move.to = server;
    strlcpy(move.prefix, row.prefix, sizeof(move.prefix));
  }
  if (n == 0) return;
  MoveInLedger({moves, n});
  MoveOwners({moves, n});
  CommandCounterIncrement();
}

}  // namespace vdb::pg
