#include "pg/pg.h"

#include "pg/catalog/upgrade.h"

#include <algorithm>
#include <cstring>

#include "pg/catalog/ledger.h"
#include "pg/catalog/own_table.h"
#include "pg/catalog/server_move.h"
#include "pg/catalog/store_owner.h"
#include "pg/catalog/store_server.h"

extern "C" {
#include "access/table.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "foreign/foreign.h"
#include "storage/lmgr.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

// One follows at a time, until its transaction ends.
constexpr LOCKMODE kLock = ShareUpdateExclusiveLock;

bool IsOfThisCluster(const OwnerRow& row) { return row.cluster == GetSystemIdentifier(); }

/// The store that the row's server is now. InvalidOid: there is none, which is logged.
Oid FindServer(const OwnerRow& row) {
  const Oid server = get_foreign_server_oid(row.name, true);
  if (OidIsValid(server) && IsStoreServer(server)) return server;
  ereport(WARNING,
          (errmsg("server \"%s\", which objects of vdb indexes are in, %s after pg_upgrade",
                  row.name, OidIsValid(server) ? "is no store" : "does not exist"),
           errhint("Give the server that it was this name.")));
  return InvalidOid;
}

/// Whether another row already says what it would say: two servers, one of which has gone, had this
/// name at different times.
bool IsTaken(std::span<const OwnerRow> rows, std::span<const ServerMove> moves, const OwnerRow& row,
             Oid server) {
  const auto moved = [&](const ServerMove& move) {
    return move.to == server && std::strcmp(move.prefix, row.prefix) == 0;
  };
  const auto there = [&](const OwnerRow& other) {
    return IsOfThisCluster(other) && other.server == server &&
           std::strcmp(other.prefix, row.prefix) == 0;
  };
  const bool taken = std::any_of(moves.begin(), moves.end(), moved) ||
                     std::any_of(rows.begin(), rows.end(), there);
  if (taken) {
    ereport(WARNING,
            (errmsg("more than one server with objects of vdb indexes was called \"%s\" before "
                    "pg_upgrade",
                    row.name),
             errdetail("Objects below \"%s\" of the server that had OID %u are not followed to it.",
                       row.prefix, row.built_as)));
  }
  return taken;
}

void Follow() {
  const std::span<OwnerRow> rows = ReadOwners();
  auto* const moves = static_cast<ServerMove*>(palloc((rows.size() + 1) * sizeof(ServerMove)));
  size_t n = 0;
  for (const OwnerRow& row : rows) {
    if (IsOfThisCluster(row)) continue;
    const Oid server = FindServer(row);
    const bool known = OidIsValid(server) && !IsTaken(rows, {moves, n}, row, server);
    // Rows that stay behind must not pass for those of the server that has their oid now.
    if (!known && !SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(row.server))) continue;
    ServerMove& move = moves[n++];
    move.from = row.server;
    move.to = known ? server : GetNewObjectId();
    move.known = known;
    strlcpy(move.prefix, row.prefix, sizeof(move.prefix));
  }
  if (n == 0) return;
  MoveInLedger({moves, n});
  MoveOwners({moves, n});
  CommandCounterIncrement();
}

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
  LockRelationOid(OwnRelation("store_owner"), kLock);
  Follow();
}

void FollowUpgradeUnlessBusy() {
  if (ConditionalLockRelationOid(OwnRelation("store_owner"), kLock)) Follow();
}

}  // namespace vdb::pg
