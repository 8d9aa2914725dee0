/// Remover: removes objects of this database from their stores, and then their rows from the
/// ledger.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pg/catalog/ledger.h"
#include "pg/gc/owner_record.h"
#include "pg/gc/report.h"
#include "pg/gc/store_access.h"
#include "pg/worker/worker_client.h"

namespace vdb::pg {

/// The object of a row.
store::ObjectRef ObjectOf(const LedgerRow& row);

class Remover {
 public:
  /// worker: null for a dry run, which claims by looking and removes nothing.
  Remover(Report* report, WorkerClient* worker) : report_(report), worker_(worker) {}

  /// Opens a server as everyone whose objects it has, and sees to it that this database collects
  /// there (OwnerRecord). What is wrong with the store is kept as its trouble: nothing is removed
  /// there. needs_records: so is a store without records. That another cluster collects there is a
  /// trouble, too, and RaiseConflict's matter.
  void Open(Oid server, std::span<const LedgerRow> rows, bool needs_records);

  const std::string& NameOf(Oid server) const { return servers_.at(server).name; }
  /// Why nothing can be removed there; empty: it can.
  const std::string& TroubleOf(Oid server) const { return servers_.at(server).trouble; }

  /// Visits the prefixes below which this database has objects, of servers that can be removed
  /// from.
  void ForEachPrefix(
      const std::function<void(store::ObjectStore& store, const std::string& prefix)>& visit) const;

  /// Removes the object of a row of an opened server, and reports it: now, or together with others
  /// that come after it. The row outlives that.
  void Remove(const LedgerRow& row, const std::string& reason);
  /// What is left to be removed is; what has been is forgotten, and reported. Last.
  void Flush();
  /// Throws when another cluster collects in one of the stores: once the others are done.
  void RaiseConflict() const;

 private:
  struct Server {
    std::string name, trouble;
    std::map<Oid, StoreHandle> roles;     // by owner of the objects
    std::map<std::string, Oid> prefixes;  // of names, with the owner of one of the objects
  };
  struct Pending {
    const LedgerRow* row;
    std::string reason;
  };

  void RemovePending(Oid server, Oid role);
  std::string Prepare(Oid oid, Server* server, std::span<const LedgerRow> rows, bool needs_records);

  Report* report_;
  WorkerClient* worker_;
  std::map<Oid, Server> servers_;
  std::optional<OwnerConflict> conflict_;  // the first one
  std::vector<Pending> pending_;           // to be removed together
  std::vector<Pending> done_;              // removed; their rows are still in the ledger
};

}  // namespace vdb::pg
