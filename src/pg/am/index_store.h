/// Which store a new index keeps its objects in.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// For a build: the server that the index's option `store` names, or on an index's first build
/// vdb.default_store, which is then written into its options, so that every later build, whatever
/// the setting is by then, and a dump say the same. InvalidOid: the index itself. Checks that the
/// index's owner may use the server, and makes the index depend on it. ereports.
Oid StoreServerFor(Relation index);

}  // namespace vdb::pg
