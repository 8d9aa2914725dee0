/// Collector: removes from remote stores what nothing needs any more, and its rows from the ledger.
///
/// An object is needed, in this order: while the (sub)transaction that publishes it is in progress
/// or prepared; while an index's metapage has its uuid; and, if it was ever published, until
/// vdb.gc_retention has passed since a collection found that no index has, and the standbys we know
/// of have replayed that far. What was asked first must not change after it was asked: a builder
/// that has ended publishes nothing more.
///
/// The object is removed before its row. In between, and after a crash there, it is missing: that
/// counts as removed, for a collection has seen the store's owner record before.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pg/catalog/ledger.h"
#include "pg/gc/index_uses.h"
#include "pg/gc/report.h"
#include "pg/gc/standby.h"
#include "pg/worker/worker_client.h"

namespace vdb::pg {

/// Defines vdb.gc_retention. For _PG_init.
void DefineCollectorSettings();

/// Admits one collector a database, until it goes or the transaction ends, and has the ledger
/// follow a pg_upgrade. Throws: 25006 during recovery, 25001 in a transaction that has written,
/// 55P03 when another session collects.
class CollectorLock {
 public:
  explicit CollectorLock(const char* function);
  void Release();
};

/// What is to become of an object.
struct Verdict {
  /// What the ledger is to say of it: nothing, where that could not be found out.
  enum class Mark { kAsItIs, kReferenced, kUnreferenced };

  bool remove = false;
  Mark mark = Mark::kAsItIs;
  std::string reason;
};

class Collector {
 public:
  Collector(bool dry_run, Report* report);

  void Run();

 private:
  enum class Builder { kInProgress, kAborted, kEnded };

  Builder StateOf(FullTransactionId builder);
  Verdict Judge(const LedgerRow& row) const;
  Verdict JudgeUnreferenced(const LedgerRow& row) const;
  void Mark(const std::vector<Verdict>& verdicts, WorkerClient* worker);
  std::set<std::string> NamesOfEndedBuilds();

  bool dry_run_;
  Report* report_;
  TimestampTz now_;
  std::vector<LedgerRow> rows_;
  std::map<uint64_t, Builder> builders_;
  IndexUses uses_;
  StandbyPosition standby_;
};

}  // namespace vdb::pg
