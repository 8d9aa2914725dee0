#include "pg/pg.h"

#include "pg/worker/mirror_worker.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "pg/catalog/mirror.h"
#include "pg/catalog/mirror_sync.h"
#include "pg/guard.h"
#include "pg/wait_event.h"
#include "pg/worker/registration.h"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"

PGDLLEXPORT void vdb_mirror_main(Datum argument);
}

namespace vdb::pg {
namespace {

constexpr char kMirrorFunction[] = "vdb_mirror_main";
// An index that was built is locked until its transaction has ended, some moments after the worker
// was started. If somebody else has locked it since, that session's worker will see to it.
constexpr int kFirstPauseMs = 10, kLastPauseMs = 2000;

/// What a worker is to do.
struct Order {
  Oid database;
  bool forget;  // the rows of `indexes`; else all are brought up to date
  uint32 count;
  // Awaited, as far as they fit in: the others are mirrored unless they are locked.
  Oid indexes[(BGW_EXTRALEN - 3 * sizeof(uint32)) / sizeof(Oid)];
};
static_assert(sizeof(Order) <= BGW_EXTRALEN);
static_assert(std::is_trivially_copyable_v<Order>);

Order pending;  // of this transaction

void Add(Oid index, Order* order) {
  Oid* const end = order->indexes + order->count;
  if (order->count < lengthof(order->indexes) && std::find(order->indexes, end, index) == end) {
    order->indexes[order->count++] = index;
  }
}

/// ereports no ERROR: it may be too late for one.
void Start(Order order) {
  order.database = MyDatabaseId;
  BackgroundWorker worker = DescribeWorker("vdb_ext mirror", kMirrorFunction);
  std::memcpy(worker.bgw_extra, &order, sizeof(order));
  if (!RegisterDynamicBackgroundWorker(&worker, nullptr)) {
    ereport(LOG, (errmsg("no background worker is left to bring \"vdb.manifest\" up to date"),
                  errhint("vdb.gc() will. You may need to increase max_worker_processes.")));
  }
}

/// False: an index that is awaited, or to be mended, is locked.
bool Serve(const Order& order) {
  if (!order.forget) return SyncMirror({order.indexes, order.count}, {});
  Call([&] {
    if (!HasMirror()) return;
    LockMirror();
    for (uint32 i = 0; i < order.count; i++) ForgetInMirror(order.indexes[i]);
    CommandCounterIncrement();
  });
  // REINDEX CONCURRENTLY drops what it has replaced, and has swapped their dependencies.
  return SyncMirror({}, {order.indexes, order.count});
}

bool ServeInTransaction(const Order& order) {
  Call([] {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    pgstat_report_activity(STATE_RUNNING, "mirroring the manifests of vdb indexes");
  });
  const bool complete = Serve(order);
  Call([] {
    PopActiveSnapshot();
    CommitTransactionCommand();
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  return complete;
}

void Run() {
  Order order;
  std::memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
  Call([&] {
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    // As the bootstrap superuser: it writes tables that nobody else may.
    BackgroundWorkerInitializeConnectionByOid(order.database, InvalidOid,
                                              BGWORKER_BYPASS_ALLOWCONN);
  });
  for (int pause_ms = kFirstPauseMs; !ServeInTransaction(order) && pause_ms <= kLastPauseMs;
       pause_ms *= 2) {
    Call([&] {
      WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause_ms,
                EventId(WaitEvent::kMirrorLock));
      ResetLatch(MyLatch);
      CHECK_FOR_INTERRUPTS();
    });
  }
}

}  // namespace
}  // namespace vdb::pg

extern "C" {
static void vdb_mirror_at_end(XactEvent event, void*) {
  using vdb::pg::pending;
  switch (event) {
    case XACT_EVENT_COMMIT:
      if (pending.count > 0) vdb::pg::Start(pending);
      pending = {};
      break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
      pending = {};
      break;
    default:
      break;
  }
}

void vdb_mirror_main(Datum) {
  vdb::pg::Entry("vdb_mirror_main", [] { vdb::pg::Run(); });
}
}

namespace vdb::pg {

void MirrorAfterCommit(Oid index) {
  static bool registered = false;
  if (!registered) RegisterXactCallback(vdb_mirror_at_end, nullptr);
  registered = true;
  Add(index, &pending);
}

void ForgetInMirrorSoon(Oid index) {
  Order order = {};
  order.forget = true;
  Add(index, &order);
  Start(order);
}

}  // namespace vdb::pg
