#include "pg/pg.h"

#include "pg/gc/listing.h"

#include <optional>

#include "base/strcat.h"
#include "pg/catalog/database.h"
#include "pg/catalog/own_table.h"
#include "pg/gc/store_access.h"
#include "pg/gc/unfinished.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
}

namespace vdb::pg {
namespace {

// A list of a hundred thousand names takes a hundred requests.
constexpr int64_t kListMs = 10 * 60 * 1000;

/// The servers that are stores.
List* StoreServers() {
  const Oid wrapper = get_foreign_data_wrapper_oid("vdb_store", true);
  List* servers = NIL;
  if (!OidIsValid(wrapper) || !IsOwn(ForeignDataWrapperRelationId, wrapper)) return servers;
  Relation table = table_open(ForeignServerRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* form = reinterpret_cast<Form_pg_foreign_server>(GETSTRUCT(tuple));
    if (form->srvfdw == wrapper) servers = lappend_oid(servers, form->oid);
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return servers;
}

/// Names that the ledger has, but for those in one server (InvalidOid: none), as of now.
std::set<std::string> LedgerNames(Oid except) {
  std::set<std::string> names;
  Call([&] {
    ForEachLedgerRow([&](const LedgerRow& row) {
      if (row.key.server != except) names.insert(row.name);
      return true;
    });
  });
  return names;
}

struct Count {
  uint64_t objects = 0, bytes = 0;
};

void ReportServer(Oid server, Report* report) {
  const std::string name = ServerName(server);
  const std::string incarnation = IncarnationPrefix(GetSystemIdentifier());
  StoreHandle handle;
  std::string why = TryOpenStore(server, CollectingRole(server), &handle);
  if (why.empty()) {
    if (!handle.store->capabilities().list) return;
    Result<std::vector<store::ListedObject>> listed = ListObjects(*handle.store, incarnation);
    if (listed.ok()) {
      // Read after the list: what was uploaded meanwhile had its row before.
      const std::set<std::string> known = LedgerNames(InvalidOid);
      std::map<std::string, Count> strangers;
      for (const store::ListedObject& object : *listed) {
        if (known.contains(object.name)) continue;
        Count& count = strangers[std::string(PrefixOfName(object.name))];
        count.objects++;
        count.bytes += object.size;
      }
      for (const auto& [prefix, count] : strangers) {
        const Oid database = DatabaseOfName(prefix);
        const std::string what = StrCat(count.objects, " objects of ", count.bytes, " bytes");
        if (database == MyDatabaseId) {
          report->Add(prefix, name, kKept,
                      StrCat(what,
                             " are not in the ledger: another cluster made them, or this one "
                             "before it was restored, or a vdb.store_check() that was cut off; "
                             "vdb.purge() removes them, unless another "
                             "cluster collects there"));
        } else if (!Call([&] { return DatabaseExists(database); })) {
          report->Add(prefix, name, kKept,
                      StrCat(what, " of database ", database, ", which does not exist; vdb.purge('",
                             name, "', ", database, ") removes them"));
        }
      }
      return;
    }
    why = ReasonOf(listed.status());
  }
  report->Add(incarnation, name, kKept, StrCat("could not be listed: ", why));
}

}  // namespace

Result<std::vector<store::ListedObject>> ListObjects(store::ObjectStore& store,
                                                     const std::string& prefix) {
  std::vector<store::ListedObject> objects;
  VDB_RETURN_IF_ERROR(store.List(
      prefix,
      [&](const store::ListedObject& object) -> Status {
        objects.push_back(object);
        return {};
      },
      store::Deadline::After(kListMs)));
  return objects;
}

void RemoveListed(store::ObjectStore& store, Oid server, const std::string& prefix,
                  const std::set<std::string>& ours, const std::string& reason, Report* report) {
  Result<std::vector<store::ListedObject>> listed = ListObjects(store, prefix);
  ThrowIfError(listed.status());
  // After the list: a row is there before its object.
  const std::set<std::string> elsewhere = LedgerNames(server);
  std::vector<store::ObjectRef> objects;
  for (const store::ListedObject& object : *listed) {
    if (ours.contains(object.name) || elsewhere.contains(object.name)) continue;
    store::ObjectRef& ref = objects.emplace_back();
    ref.size = object.size;
    ref.name = object.name;
  }
  const auto removed = [&](size_t i, const Result<store::Removal>& removal) {
    if (!removal.ok()) {
      report->Add(objects[i].name, store.name(), kKept, ReasonOf(removal.status()));
    } else if (removal.value() == store::Removal::kDisabled) {
      report->Add(objects[i].name, store.name(), kDisabled, "the store does not remove anything");
    } else {
      report->Add(objects[i].name, store.name(), kRemoved, reason);
    }
  };
  ThrowIfError(store.RemoveAll(objects, removed, RequestTimeoutMs()));
  std::optional<std::set<std::string>> busy;
  const auto given_up = [&](const std::string& name) {
    if (!busy.has_value()) busy = LedgerNames(server);
    return !busy->contains(name);
  };
  GiveUpUploads(store, prefix, false, given_up, report);
}

void ReportStrangers(Report* report) {
  List* const servers = Call([] { return StoreServers(); });
  for (int i = 0; i < list_length(servers); i++) ReportServer(list_nth_oid(servers, i), report);
}

}  // namespace vdb::pg
