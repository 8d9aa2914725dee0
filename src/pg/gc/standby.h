/// What standbys still need. A search holds a lock on its index: on the primary none can be running
/// when a DROP has been committed, and on a standby none when the DROP has been replayed. So what
/// counts is how far standbys have come, and not the snapshots in them.
#pragma once

#include <string>

#include "pg/pg.h"

namespace vdb::pg {

struct StandbyPosition {
  XLogRecPtr lsn = UINT64_MAX;  // of the one that is farthest behind
  std::string who;              // empty: there is none
};

/// Of the standbys that are connected, and those that have a replication slot; one that is
/// connected and has not said yet how far it has come needs everything, as does one that has a slot
/// and is away: the slot knows what it has received, and not what it has replayed. Nothing is known
/// of others: the retention window is for them. Throws.
StandbyPosition FarthestBehind();

}  // namespace vdb::pg
