/// Databases of the cluster.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// As of now. Also for a worker that is connected to no database and has no catalog caches, in a
/// transaction. ereports.
bool DatabaseExists(Oid database);

}  // namespace vdb::pg
