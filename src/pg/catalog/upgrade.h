/// What pg_upgrade makes necessary. It gives the new cluster another system identifier, and its
/// servers other oids, while databases, relations and roles keep theirs, and the tables of the
/// extension their rows: ledger, vdb.store_owner and metapages name servers by oids of the old
/// cluster. vdb.store_owner has each server's name, by which rows of both tables follow it once; a
/// metapage is read with the help of the row of its prefix. All of it ereports.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// The oid that a server has now which had oid `built_as` in the cluster where objects got
/// `prefix`. InvalidOid: unknown.
Oid ServerAfterUpgrade(const char* prefix, Oid built_as);

/// Whether rows name servers by oids of another cluster.
bool UpgradeIsPending();

/// Gives such rows the oids that their servers have in this cluster. Rows of servers that are gone
/// stay rows of another cluster, with a WARNING, and under an oid that no server has. Waits for a
/// transaction that has done so and has not ended.
void FollowUpgrade();

/// The same, but does not wait: a build goes without, since its own rows are new. The transaction
/// that has done it may be that of the session whose worker asks, which nobody would see as a
/// deadlock.
void FollowUpgradeUnlessBusy();

}  // namespace vdb::pg
