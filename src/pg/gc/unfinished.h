/// Uploads in parts that a build has left half way: on S3 they are no objects, and take room all
/// the same.
#pragma once

#include <functional>
#include <string>

#include "pg/gc/report.h"
#include "store/object_store.h"

namespace vdb::pg {

/// Gives up the unfinished uploads below `prefix`, and reports each; dry_run: only says so.
/// given_up(name): whether no build goes on with that object. It is asked after the store was, so
/// that it can know of every build that had begun one by then. Throws.
void GiveUpUploads(store::ObjectStore& store, const std::string& prefix, bool dry_run,
                   const std::function<bool(const std::string& name)>& given_up, Report* report);

}  // namespace vdb::pg
