#include "pg/pg.h"

#include "pg/gc/purge.h"

#include <algorithm>
#include <set>
#include <vector>

#include "pg/catalog/database.h"
#include "pg/gc/collector.h"
#include "pg/gc/listing.h"
#include "pg/gc/owner_record.h"
#include "pg/gc/remover.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "storage/lock.h"
}

namespace vdb::pg {
namespace {

constexpr char kPurged[] = "purged";

void RequireSuperuser() {
  if (superuser()) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied to purge a store"), errhint("Must be superuser.")));
}

/// Builds hold the same lock until their transactions end, also prepared ones. Held across store
/// calls, on purpose: what a build would send now could not be told from what is to go.
class BuildsExcluded {
 public:
  explicit BuildsExcluded(Oid server) {
    SET_LOCKTAG_OBJECT(tag_, MyDatabaseId, ForeignServerRelationId, server, 0);
    Call([&] {
      if (LockAcquire(&tag_, AccessExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL) return;
      ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                      errmsg("a transaction that has not ended is building an index there")));
    });
  }
  void Release() {
    Call([&] { LockRelease(&tag_, AccessExclusiveLock, false); });
  }

 private:
  LOCKTAG tag_;
};

/// No index may live there: neither as its dependencies say, nor as its pages.
void RequireUnused(Oid server, std::span<const LedgerRow> rows) {
  std::string index = IndexThatDependsOn(server);
  const IndexUses uses = FindIndexUses();
  for (const LedgerRow& row : rows) {
    IndexUuid uuid;
    std::copy_n(row.index, uuid.size(), uuid.begin());
    const auto used = uses.used.find(uuid);
    if (row.key.server == server && used != uses.used.end()) index = used->second;
  }
  const std::string* const unknown = uses.WhyUnknown(server);
  Call([&] {
    if (!index.empty()) {
      ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                      errmsg("cannot purge a store that indexes use"),
                      errdetail("Index \"%s\" keeps its objects there.", index.c_str()),
                      errhint("Drop the indexes, or move them by ALTER INDEX ... SET (store) and "
                              "REINDEX.")));
    }
    if (unknown != nullptr) {
      ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                      errmsg("cannot tell whether an index uses the store"),
                      errdetail_internal("%s", unknown->c_str())));
    }
  });
}

void Forget(const std::vector<LedgerRow>& rows, const std::string& name, WorkerClient* worker,
            Report* report) {
  std::vector<LedgerKey> keys;
  for (const LedgerRow& row : rows) keys.push_back(row.key);
  worker->Ask(RequestKind::kForgetObjects, std::span<const LedgerKey>(keys));
  for (const LedgerRow& row : rows) report->Add(row.name, name, kForgotten, kPurged);
}

/// Whether there is nothing under a prefix, and no upload of anything there.
bool IsEmpty(store::ObjectStore& store, const std::string& prefix) {
  const Result<std::vector<store::ListedObject>> listed = ListObjects(store, prefix);
  ThrowIfError(listed.status());
  if (!listed->empty()) return false;
  const Result<std::vector<store::UnfinishedUpload>> uploads =
      store.ListUnfinished(prefix, store::Deadline::After(RequestTimeoutMs()));
  // What cannot be listed is reported with the rest.
  return uploads.ok() && uploads->empty();
}

/// Removes what lies under a prefix, if this database is the one that collects there: with no row
/// in the ledger an object may still be in use, by another cluster that has the same prefix.
void RemoveStrangers(store::ObjectStore& store, Oid server, const std::string& prefix,
                     WorkerClient* worker, Report* report) {
  if (IsEmpty(store, prefix)) return;
  if (store.capabilities().records) {
    const std::optional<OwnerConflict> conflict = OwnerRecord(store, server, prefix).Renew(*worker);
    if (conflict.has_value()) Raise(*conflict);
  }
  RemoveListed(store, server, prefix, {}, kPurged, report);
}

/// Throws 55006 if there is such a database.
void RequireDropped(Oid database) {
  Call([&] {
    if (!DatabaseExists(database)) return;
    ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE), errmsg("database %u exists", database),
                    errhint("Its own vdb.purge() removes its objects.")));
  });
}

}  // namespace

void Purge(Oid server, bool forget, Report* report) {
  Call([] { RequireSuperuser(); });
  CollectorLock lock("vdb.purge()");
  WorkerClient worker;
  // What indexes depend on is what they use.
  worker.Ask(RequestKind::kSyncMirror, std::span<const Oid>());
  BuildsExcluded excluded(server);
  std::vector<LedgerRow> rows;
  Call([&] {
    ForEachLedgerRow([&](const LedgerRow& row) {
      if (row.key.server == server && row.database == MyDatabaseId) rows.push_back(row);
      return true;
    });
  });
  RequireUnused(server, rows);
  const std::string name = ServerName(server);
  if (forget) {
    Forget(rows, name, &worker, report);
  } else {
    const StoreHandle handle = OpenStore(server, CollectingRole(server));
    Remover remover(report, &worker);
    remover.Open(server, rows, false);
    remover.RaiseConflict();
    std::set<std::string> ours, claimed;
    for (const LedgerRow& row : rows) {
      remover.Remove(row, kPurged);
      ours.insert(row.name);
      if (const auto prefix = PrefixOfName(row.name); !prefix.empty()) claimed.emplace(prefix);
    }
    remover.Flush();
    if (handle.store->capabilities().list && remover.TroubleOf(server).empty()) {
      for (const std::string& prefix : claimed) {
        RemoveListed(*handle.store, server, prefix, ours, kPurged, report);
      }
      const std::string own = ObjectPrefix(GetSystemIdentifier(), MyDatabaseId);
      if (!claimed.contains(own)) RemoveStrangers(*handle.store, server, own, &worker, report);
    }
  }
  worker.Close();
  excluded.Release();
  lock.Release();
}

void PurgeDatabase(Oid server, Oid database, Report* report) {
  Call([] { RequireSuperuser(); });
  CollectorLock lock("vdb.purge()");
  RequireDropped(database);
  const StoreHandle handle = OpenStore(server, CollectingRole(server));
  WorkerClient worker;
  RemoveStrangers(*handle.store, server, ObjectPrefix(GetSystemIdentifier(), database), &worker,
                  report);
  worker.Close();
  lock.Release();
}

void AdoptDatabase(Oid server, Oid database) {
  CollectorLock lock("vdb.adopt()");
  RequireDropped(database);
  const StoreHandle handle = OpenStore(server, CollectingRole(server));
  const std::string prefix = ObjectPrefix(GetSystemIdentifier(), database);
  // What cannot be listed cannot be purged.
  ThrowIfError(ListObjects(*handle.store, prefix).status());
  WorkerClient worker;
  OwnerRecord(*handle.store, server, prefix).Take(worker);
  worker.Close();
  lock.Release();
}

}  // namespace vdb::pg
