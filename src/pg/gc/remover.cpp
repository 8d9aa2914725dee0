#include "pg/pg.h"

#include "pg/gc/remover.h"

#include <algorithm>
#include <set>

#include "base/strcat.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

namespace vdb::pg {
namespace {

// Objects that are removed together, and their rows forgotten in one transaction of the worker.
constexpr size_t kBatchRows = 64;

}  // namespace

store::ObjectRef ObjectOf(const LedgerRow& row) {
  store::ObjectRef ref;
  std::copy_n(row.key.id, ref.digest.size(), ref.digest.begin());
  ref.size = row.size;
  ref.name = row.name;
  return ref;
}

void Remover::Open(Oid server, std::span<const LedgerRow> rows, bool needs_records) {
  const auto [found, added] = servers_.try_emplace(server);
  if (!added) return;
  found->second.name = ServerName(server);
  found->second.trouble = Prepare(server, &found->second, rows, needs_records);
}

/// Empty: the server can be removed from.
std::string Remover::Prepare(Oid oid, Server* server, std::span<const LedgerRow> rows,
                             bool needs_records) {
  for (const LedgerRow& row : rows) {
    if (row.key.server != oid || row.database != MyDatabaseId) continue;
    StoreHandle& handle = server->roles[row.owner];
    if (handle.store == nullptr) {
      std::string why = TryOpenStore(oid, row.owner, &handle);
      if (!why.empty()) return why;
    }
    const std::string prefix(PrefixOfName(row.name));
    if (!server->prefixes.try_emplace(prefix, row.owner).second) continue;
    if (!handle.store->capabilities().records) {
      if (!needs_records) continue;
      return "the store has no records, which would say whose its objects are; vdb.purge() removes "
             "them";
    }
    try {
      OwnerRecord owner(*handle.store, oid, prefix);
      const std::optional<OwnerConflict> conflict =
          worker_ == nullptr ? owner.Check() : owner.Renew(*worker_);
      if (conflict.has_value()) {
        if (!conflict_.has_value()) conflict_ = conflict;
        return "another database may collect there";
      }
    } catch (const StatusError& error) {
      return ReasonOf(error.status);
    }
  }
  return {};
}

void Remover::ForEachPrefix(
    const std::function<void(store::ObjectStore& store, const std::string& prefix)>& visit) const {
  for (const auto& [oid, server] : servers_) {
    if (!server.trouble.empty()) continue;
    for (const auto& [prefix, owner] : server.prefixes) {
      visit(*server.roles.at(owner).store, prefix);
    }
  }
}

void Remover::RaiseConflict() const {
  if (conflict_.has_value()) Raise(*conflict_);
}

void Remover::Remove(const LedgerRow& row, const std::string& reason) {
  Server& server = servers_.at(row.key.server);
  if (!server.trouble.empty()) {
    report_->Add(row.name, server.name, kKept, server.trouble);
    return;
  }
  if (worker_ == nullptr) {
    report_->Add(row.name, server.name, kWouldRemove, reason);
    return;
  }
  pending_.push_back({&row, reason});
  if (pending_.size() == kBatchRows) Flush();
}

/// Removes those objects of a server that are pending and were stored for one role.
void Remover::RemovePending(Oid oid, Oid role) {
  Server& server = servers_.at(oid);
  std::vector<store::ObjectRef> objects;
  std::vector<const Pending*> theirs;
  for (const Pending& pending : pending_) {
    if (pending.row->key.server != oid || pending.row->owner != role) continue;
    objects.push_back(ObjectOf(*pending.row));
    theirs.push_back(&pending);
  }
  const auto removed = [&](size_t i, const Result<store::Removal>& removal) {
    const Pending& pending = *theirs[i];
    if (!removal.ok()) {
      const std::string why = ReasonOf(removal.status());
      // One that is away costs its timeout once.
      if (removal.status().code() == Code::kUnavailable) server.trouble = why;
      report_->Add(pending.row->name, server.name, kKept, why);
    } else if (removal.value() == store::Removal::kDisabled) {
      report_->Add(pending.row->name, server.name, kDisabled, "the store does not remove anything");
    } else {
      done_.push_back({pending.row, removal.value() == store::Removal::kAbsent
                                        ? StrCat(pending.reason, "; it was not there any more")
                                        : pending.reason});
    }
  };
  ThrowIfError(server.roles.at(role).store->RemoveAll(objects, removed, RequestTimeoutMs()));
}

void Remover::Flush() {
  std::set<std::pair<Oid, Oid>> stores;
  for (const Pending& pending : pending_) {
    stores.emplace(pending.row->key.server, pending.row->owner);
  }
  for (const auto& [server, role] : stores) RemovePending(server, role);
  pending_.clear();
  if (done_.empty()) return;
  std::vector<LedgerKey> keys;
  for (const Pending& done : done_) keys.push_back(done.row->key);
  worker_->Ask(RequestKind::kForgetObjects, std::span<const LedgerKey>(keys));
  for (const Pending& done : done_) {
    report_->Add(done.row->name, NameOf(done.row->key.server), kRemoved, done.reason);
  }
  done_.clear();
}

}  // namespace vdb::pg
