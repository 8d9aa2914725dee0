/// ALTER SERVER ... RENAME: what knows a store by its server's name.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// A server is being altered by this command. If it gets another name, options of indexes and
/// vdb.store_owner have it as well. ereports: 42602 when indexes are there and the name would mean
/// none.
void FollowRename(Oid server);

}  // namespace vdb::pg
