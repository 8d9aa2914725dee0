#include "pg/pg.h"

#include "pg/gc/collector.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <optional>

#include "base/strcat.h"
#include "pg/catalog/own_table.h"
#include "pg/catalog/upgrade.h"
#include "pg/gc/remover.h"
#include "pg/gc/unfinished.h"
#include "pg/guard.h"

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
// Rows that are marked in one transaction of the worker.
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
    OwnRelation("object");
    const LOCKTAG tag = CollectorTag();
    if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL) {
      ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                      errmsg("another session is collecting garbage in this database")));
    }
  });
  if (!Call([] { return UpgradeIsPending(); })) return;
  WorkerClient worker;
  worker.FollowUpgrade();
  worker.Close();
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
  verdict.mark = Verdict::Mark::kUnreferenced;
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
    kept.mark = Verdict::Mark::kReferenced;
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
  return {true, Verdict::Mark::kAsItIs, "the build that made it failed"};
}

/// Writes into the ledger what has become unreferenced, or is referred to after all.
void Collector::Mark(const std::vector<Verdict>& verdicts, WorkerClient* worker) {
  std::vector<LedgerMark> marks;
  const XLogRecPtr lsn = GetXLogInsertRecPtr();
  for (size_t i = 0; i < rows_.size(); i++) {
    LedgerRow& row = rows_[i];
    const bool unreferenced = verdicts[i].mark == Verdict::Mark::kUnreferenced;
    if (verdicts[i].mark == Verdict::Mark::kAsItIs ||
        unreferenced == (row.unreferenced_since != 0)) {
      continue;
    }
    row.unreferenced_since = unreferenced ? now_ : 0;
    row.unreferenced_lsn = unreferenced ? lsn : InvalidXLogRecPtr;
    marks.push_back({row.key, row.unreferenced_since, row.unreferenced_lsn});
  }
  for (size_t i = 0; i < marks.size(); i += kBatchRows) {
    const size_t n = std::min(kBatchRows, marks.size() - i);
    worker->Ask(RequestKind::kMarkObjects, std::span<const LedgerMark>(marks).subspan(i, n));
  }
}

/// Objects of builds that have ended, as of now.
std::set<std::string> Collector::NamesOfEndedBuilds() {
  std::set<std::string> names;
  Call([&] {
    ForEachLedgerRow([&](const LedgerRow& row) {
      if (StateOf(row.builder) != Builder::kInProgress) names.insert(row.name);
      return true;
    });
  });
  return names;
}

void Collector::Run() {
  Call([&] {
    ForEachLedgerRow([&](const LedgerRow& row) {
      rows_.push_back(row);
      return true;
    });
  });
  for (const LedgerRow& row : rows_) StateOf(row.builder);
  uses_ = FindIndexUses();
  standby_ = FarthestBehind();
  std::unique_ptr<WorkerClient> worker;
  if (!dry_run_ && !rows_.empty()) {
    worker = std::make_unique<WorkerClient>();
    // What a crash has left out.
    worker->Ask(RequestKind::kSyncMirror, std::span<const Oid>());
  }
  Remover remover(report_, worker.get());
  for (const LedgerRow& row : rows_) remover.Open(row.key.server, rows_, true);
  std::vector<Verdict> verdicts;
  for (const LedgerRow& row : rows_) verdicts.push_back(Judge(row));
  if (worker != nullptr) Mark(verdicts, worker.get());
  // Before the rows, which say where to look.
  remover.ForEachPrefix([this](store::ObjectStore& store, const std::string& prefix) {
    // Not such as the ledger does not know: another cluster's builds may be under way there.
    std::optional<std::set<std::string>> ended;
    const auto given_up = [&](const std::string& name) {
      if (!ended.has_value()) ended = NamesOfEndedBuilds();
      return ended->contains(name);
    };
    GiveUpUploads(store, prefix, dry_run_, given_up, report_);
  });
  for (size_t i = 0; i < rows_.size(); i++) {
    const LedgerRow& row = rows_[i];
    if (verdicts[i].remove) {
      remover.Remove(row, verdicts[i].reason);
    } else {
      report_->Add(row.name, remover.NameOf(row.key.server), kKept, verdicts[i].reason);
    }
  }
  remover.Flush();
  if (worker != nullptr) worker->Close();
  remover.RaiseConflict();
}

}  // namespace vdb::pg
