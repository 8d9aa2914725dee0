/// Which server an index keeps its objects in: as its pages say, and as PostgreSQL knows from
/// pg_depend, so that DROP SERVER is refused. All of it ereports.
#pragma once

#include "pg/am/meta.h"

namespace vdb::pg {

/// The server that an index depends on; InvalidOid: none.
Oid DependencyOf(Oid index);

/// Makes it depend on that server and no other; InvalidOid: on none.
void DependOn(Oid index, Oid server);

enum class Mended : uint8_t { kNo, kYes, kBusy };

/// Makes an open index depend on the server that its pages say. REINDEX CONCURRENTLY swaps the
/// dependencies of two indexes, and ALTER TABLE hands pages on to an index that has none. Waits for
/// no lock; keeps its own, when it has changed something, until the transaction ends.
Mended MendDependency(Relation index);

/// The server of a remote index. The metapage has its oid in the cluster that built it; after a
/// pg_upgrade the server has another one (catalog/upgrade.h). InvalidOid: it cannot be told.
Oid ServerOf(Oid index, const MetaPage& meta);

/// The same; 42704 when it cannot be told.
Oid RequireServerOf(Relation index, const MetaPage& meta);

}  // namespace vdb::pg
