#include "pg/pg.h"

#include "pg/gc/collector.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <set>

#include "base/strcat.h"
#include "pg/catalog/own_table.h"
#include "pg/gc/owner_record.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/xlog.h"
#include "storage/lock.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"
}

namespace vdb::pg {
namespace {

int retention_s = 0;

// An upload that was cut off with its transaction may still be on its way through a store: nobody's
// proxies hold one back for longer.
constexpr int kStragglerSeconds = 3600;
// Rows that are forgotten, or marked, in one transaction of the worker.
constexpr size_t kBatchRows = 64;

TimestampTz Later(TimestampTz at, int seconds) {
  return TimestampTzPlusMilliseconds(at, int64{seconds} * 1000);
}

std::string TimeText(TimestampTz at) {
  return Call([&] { return timestamptz_to_str(at); });
}

LOCKTAG CollectorTag() {
  LOCKTAG tag;
  // A sub-object that the table does not have: in nobody else's way.
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, LedgerTable(), 1);
  return tag;
}

store::ObjectRef RefOf(const LedgerRow& row) {
  store::ObjectRef ref;
  std::copy_n(row.key.id, ref.digest.size(), ref.digest.begin());
  ref.size = row.size;
  ref.name = row.name;
  return ref;
}

/// pg_xact_status: it knows of prepared transactions, and of the commit log's end. Null: too old.
const char* TransactionState(FullTransactionId id) {
  LOCAL_FCINFO(info, 1);
  InitFunctionCallInfoData(*info, nullptr, 1, InvalidOid, nullptr, nullptr);
  info->args[0].value = FullTransactionIdGetDatum(id);
  info->args[0].isnull = false;
  const Datum state = pg_xact_status(info);
  return info->isnull ? nullptr : text_to_cstring(DatumGetTextPP(state));
}

}  // namespace

void DefineCollectorSettings() {
  DefineCustomIntVariable("vdb.gc_retention",
                          "How long vdb.gc() keeps objects that no index refers to any more.",
                          "At least as long as a backup may be restored, or a standby be behind.",
                          &retention_s, 7 * 24 * 3600, 0, INT_MAX, PGC_SIGHUP,
                          GUC_UNIT_S | GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
}

CollectorLock::CollectorLock(const char* function) {
  Call([&] {
    if (RecoveryInProgress()) {
      ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                      errmsg("cannot execute %s during recovery", function)));
    }
    // It would not see its own uncommitted DROP as one that can be rolled back.
    if (TransactionIdIsValid(GetTopTransactionIdIfAny())) {
      ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                      errmsg("cannot execute %s in a transaction that has written", function),
                      errhint("COMMIT first.")));
    }
    if (!OidIsValid(LedgerTable())) OpenOwnTable("object", AccessShareLock);
    const LOCKTAG tag = CollectorTag();
    if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL) {
      ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                      errmsg("another session is collecting garbage in this database")));
    }
  });
}

void CollectorLock::Release() {
  Call([] {
    const LOCKTAG tag = CollectorTag();
    LockRelease(&tag, ExclusiveLock, false);
  });
}

Collector::Collector(bool dry_run, Report* report)
    : dry_run_(dry_run), report_(report), now_(GetCurrentTimestamp()) {}

Collector::Builder Collector::StateOf(FullTransactionId builder) {
  const auto [found, added] =
      builders_.try_emplace(U64FromFullTransactionId(builder), Builder::kInProgress);
  if (!added) return found->second;
  const char* const state = Call([&] { return TransactionState(builder); });
  if (state == nullptr || std::strcmp(state, "committed") == 0) {
    found->second = Builder::kEnded;
  } else if (std::strcmp(state, "aborted") == 0) {
    found->second = Builder::kAborted;
  }
  return found->second;
}

Verdict Collector::JudgeUnreferenced(const LedgerRow& row) const {
  Verdict verdict;
  verdict.unreferenced = true;
  const TimestampTz since = row.unreferenced_since != 0 ? row.unreferenced_since : now_;
  const TimestampTz until = Later(since, retention_s);
  if (until > now_) {
    verdict.reason = StrCat("no index uses it since ", TimeText(since), "; kept until ",
                            TimeText(until), " (vdb.gc_retention)");
    return verdict;
  }
  const XLogRecPtr lsn =
      row.unreferenced_lsn != InvalidXLogRecPtr ? row.unreferenced_lsn : GetXLogInsertRecPtr();
  if (standby_.lsn < lsn) {
    verdict.reason = StrCat(standby_.who, " may still use it");
    return verdict;
  }
  verdict.remove = true;
  verdict.reason = StrCat("no index uses it since ", TimeText(since));
  return verdict;
}

Verdict Collector::Judge(const LedgerRow& row) const {
  Verdict kept;
  if (row.database != MyDatabaseId) {
    kept.reason = StrCat("it belongs to database ", row.database, ", of which this one is a copy");
    return kept;
  }
  const Builder builder = builders_.at(U64FromFullTransactionId(row.builder));
  if (builder == Builder::kInProgress) {
    kept.reason = StrCat("transaction ", U64FromFullTransactionId(row.builder),
                         ", which builds an index of it, has not ended");
    return kept;
  }
  IndexUuid uuid;
  std::copy_n(row.index, uuid.size(), uuid.begin());
  if (const auto used = uses_.used.find(uuid); used != uses_.used.end()) {
    kept.reason = StrCat("index \"", used->second, "\" uses it");
    return kept;
  }
  if (const std::string* why = uses_.WhyUnknown(row.key.server)) {
    kept.reason = *why;
    return kept;
  }
  if (builder == Builder::kEnded) return JudgeUnreferenced(row);
  // Nobody has ever seen it, and no restore brings back what was never committed.
  const TimestampTz until = Later(row.created, std::min(retention_s, kStragglerSeconds));
  if (until > now_) {
    kept.reason =
        StrCat("the build that made it failed; it may still be on its way until ", TimeText(until));
    return kept;
  }
  return {true, false, "the build that made it failed"};
}

/// Opens it as everyone whose objects it has, and sees to it that this database collects there.
void Collector::OpenServer(Oid oid, Server* server) {
  server->name = ServerName(oid);
  std::set<std::string> prefixes;
  for (const LedgerRow& row : rows_) {
    if (row.key.server != oid || row.database != MyDatabaseId) continue;
    StoreHandle& handle = server->roles[row.owner];
    if (handle.store == nullptr) {
      server->trouble = TryOpenStore(oid, row.owner, &handle);
      if (!server->trouble.empty()) return;
    }
    const std::string prefix = PrefixOfName(row.name);
    if (!prefixes.insert(prefix).second) continue;
    if (!handle.store->capabilities().records) {
      server->trouble = "the store has no records, which say whose its objects are";
      return;
    }
    try {
      OwnerRecord owner(*handle.store, oid, prefix);
      if (dry_run_) {
        owner.Check();
      } else {
        owner.Renew(*worker_);
      }
    } catch (const StatusError& error) {
      server->trouble = ReasonOf(error.status);
      return;
    }
  }
}

/// Writes into the ledger what has become unreferenced, or is referred to after all.
void Collector::Mark(std::vector<Verdict>* verdicts) {
  std::vector<LedgerMark> marks;
  const XLogRecPtr lsn = GetXLogInsertRecPtr();
  for (size_t i = 0; i < rows_.size(); i++) {
    LedgerRow& row = rows_[i];
    const bool unreferenced = (*verdicts)[i].unreferenced;
    if (unreferenced == (row.unreferenced_since != 0)) continue;
    row.unreferenced_since = unreferenced ? now_ : 0;
    row.unreferenced_lsn = unreferenced ? lsn : InvalidXLogRecPtr;
    marks.push_back({row.key, row.unreferenced_since, row.unreferenced_lsn});
  }
  for (size_t i = 0; i < marks.size(); i += kBatchRows) {
    const size_t n = std::min(kBatchRows, marks.size() - i);
    worker_->Ask(RequestKind::kMarkObjects, std::span<const LedgerMark>(marks).subspan(i, n));
  }
}

void Collector::Run() {
  rows_ = Call([] { return ReadLedger(); });
  if (rows_.empty()) return;
  for (const LedgerRow& row : rows_) StateOf(row.builder);
  uses_ = FindIndexUses();
  standby_ = FarthestBehind();
  if (!dry_run_) {
    worker_ = std::make_unique<WorkerClient>();
    // What a crash has left out.
    worker_->Ask(RequestKind::kSyncMirror, std::span<const Oid>());
  }
  for (const LedgerRow& row : rows_) {
    const auto [found, added] = servers_.try_emplace(row.key.server);
    if (added) OpenServer(row.key.server, &found->second);
  }
  std::vector<Verdict> verdicts;
  for (const LedgerRow& row : rows_) verdicts.push_back(Judge(row));
  if (!dry_run_) Mark(&verdicts);
  for (size_t i = 0; i < rows_.size(); i++) {
    const LedgerRow& row = rows_[i];
    const Server& server = servers_.at(row.key.server);
    if (!verdicts[i].remove) {
      report_->Add(row.name, server.name, kKept, verdicts[i].reason);
    } else if (!server.trouble.empty()) {
      report_->Add(row.name, server.name, kKept, server.trouble);
    } else if (dry_run_) {
      report_->Add(row.name, server.name, kWouldRemove, verdicts[i].reason);
    } else {
      Remove(row, verdicts[i].reason);
    }
  }
  Flush();
  if (worker_ != nullptr) worker_->Close();
}

void Collector::Remove(const LedgerRow& row, const std::string& reason) {
  Server& server = servers_.at(row.key.server);
  store::ObjectStore& store = *server.roles.at(row.owner).store;
  const Result<store::Removal> removal =
      store.Remove(RefOf(row), store::Deadline::After(RequestTimeoutMs()));
  if (!removal.ok()) {
    const std::string why = ReasonOf(removal.status());
    // One that is away costs its timeout once.
    if (removal.status().code() == Code::kUnavailable) server.trouble = why;
    report_->Add(row.name, server.name, kKept, why);
    return;
  }
  if (removal.value() == store::Removal::kDisabled) {
    report_->Add(row.name, server.name, kDisabled, "the store does not remove anything");
    return;
  }
  done_.push_back({&row, removal.value() == store::Removal::kAbsent
                             ? StrCat(reason, "; it was not there any more")
                             : reason});
  if (done_.size() == kBatchRows) Flush();
}

/// What has been removed is forgotten.
void Collector::Flush() {
  if (done_.empty()) return;
  std::vector<LedgerKey> keys;
  for (const Done& done : done_) keys.push_back(done.row->key);
  worker_->Ask(RequestKind::kForgetObjects, std::span<const LedgerKey>(keys));
  for (const Done& done : done_) {
    report_->Add(done.row->name, servers_.at(done.row->key.server).name, kRemoved, done.reason);
  }
  done_.clear();
}

}  // namespace vdb::pg
