#include "pg/pg.h"

#include "pg/gc/unfinished.h"

#include <vector>

#include "base/strcat.h"
#include "pg/catalog/store_server.h"
#include "pg/gc/store_access.h"
#include "pg/guard.h"

namespace vdb::pg {

void GiveUpUploads(store::ObjectStore& store, const std::string& prefix, bool dry_run,
                   const std::function<bool(const std::string& name)>& given_up, Report* report) {
  const auto deadline = [] { return store::Deadline::After(RequestTimeoutMs()); };
  const Result<std::vector<store::UnfinishedUpload>> uploads =
      store.ListUnfinished(prefix, deadline());
  if (!uploads.ok()) {
    report->Add(prefix, store.name(), kKept,
                StrCat("unfinished uploads could not be listed: ", ReasonOf(uploads.status())));
    return;
  }
  for (const store::UnfinishedUpload& upload : uploads.value()) {
    if (!given_up(upload.name)) continue;
    const Status status = dry_run ? Status() : store.GiveUp(upload, deadline());
    if (status.ok()) {
      report->Add(upload.name, store.name(), dry_run ? kWouldRemove : kRemoved,
                  "an upload in parts that no build goes on with");
    } else {
      report->Add(upload.name, store.name(), kKept, ReasonOf(status));
    }
  }
}

}  // namespace vdb::pg
