/// What lies in a store under this cluster's name, for stores that can list.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "pg/catalog/ledger.h"
#include "pg/gc/report.h"
#include "store/object_store.h"

namespace vdb::pg {

/// The objects whose names begin with `prefix`. Errors: as ObjectStore::List.
Result<std::vector<store::ListedObject>> ListObjects(store::ObjectStore& store,
                                                     const std::string& prefix);

/// Removes all objects whose names begin with `prefix`, and gives up the unfinished uploads of
/// such; reports each. Left alone are `ours`, and what the ledger has in another server: it may be
/// the same place. No build must be going on in this one.
void RemoveListed(store::ObjectStore& store, Oid server, const std::string& prefix,
                  const std::set<std::string>& ours, const std::string& reason, Report* report);

/// Reports, for each store that can list, what this cluster has there that no collection removes:
/// objects of databases that do not exist, and such of this database as are not in its ledger. A
/// cluster that was restored from the same backup uses the same names, and these may be its own: so
/// they are left to vdb.purge(). Throws.
void ReportStrangers(Report* report);

}  // namespace vdb::pg
