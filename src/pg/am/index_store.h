/// Which store a new index keeps its objects in.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// For a build: the server that the index's option `store` names, or on an index's first build
/// vdb.default_store, which is then written into its options, so that every later build, whatever
/// the setting is by then, and a dump say the same. InvalidOid: the index itself. Checks that the
/// index's owner may use the server, and makes the index depend on it. In pg_upgrade, which puts
/// the old cluster's files in the place of what is built, only the latter, and InvalidOid.
/// ereports.
Oid StoreServerFor(Relation index);

/// Whether a superuser decides that the index is built in its store, whatever its owner may: with a
/// CREATE INDEX that names the store. So does a dump that is restored, in which all GRANTs come
/// after the indexes. No REINDEX does, nor what a superuser's statement merely calls: it would lend
/// the superuser's rights to an owner who has none.
bool SuperuserPlaces(Relation index);

}  // namespace vdb::pg
