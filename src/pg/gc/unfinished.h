/// Uploads in parts that a build has left half way: on S3 they are no objects, and take room all
/// the same.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "pg/gc/report.h"
#include "store/object_store.h"

namespace vdb::pg {

/// Gives up the unfinished uploads below `prefix`, and reports each; dry_run: only says so.
/// busy: names of the objects that are being uploaded. It is asked after the store was, so that it
/// knows of every build that had begun one by then. Throws.
void GiveUpUploads(store::ObjectStore& store, const std::string& prefix, bool dry_run,
                   const std::function<std::set<std::string>()>& busy, Report* report);

}  // namespace vdb::pg
