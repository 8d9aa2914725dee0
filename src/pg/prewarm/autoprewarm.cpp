#include "pg/pg.h"

#include "pg/prewarm/autoprewarm.h"

#include <algorithm>
#include <climits>
#include <iterator>
#include <set>
#include <tuple>

#include "pg/catalog/database.h"
#include "pg/guard.h"
#include "pg/prewarm/hot_file.h"
#include "pg/prewarm/reload.h"
#include "pg/wait_event.h"
#include "pg/worker/registration.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

PGDLLEXPORT void vdb_autoprewarm_main(Datum argument);
}

namespace vdb::pg {
namespace {

constexpr char kKeeperFunction[] = "vdb_autoprewarm_main";

bool autoprewarm = false;
int interval_s = 300;

/// Databases of the frames, that of the most wanted first.
std::vector<Oid> DatabasesOf(const std::vector<CachedFrame>& frames) {
  std::vector<Oid> databases;
  for (const CachedFrame& frame : frames) {
    const bool known =
        std::find(databases.begin(), databases.end(), frame.database) != databases.end();
    if (OidIsValid(frame.database) && !known) databases.push_back(frame.database);
  }
  return databases;
}

/// Has a worker read the frames of a database again, and waits for its end.
void Reload(Oid database) {
  BackgroundWorker worker = DescribeWorker(kReloadType, kReloadFunction);
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_main_arg = ObjectIdGetDatum(database);
  worker.bgw_notify_pid = MyProcPid;
  BackgroundWorkerHandle* handle;
  if (!RegisterDynamicBackgroundWorker(&worker, &handle)) {
    ereport(LOG, (errmsg("no background worker is left to fill the cache of vdb_ext"),
                  errhint("You may need to increase max_worker_processes.")));
    return;
  }
  WaitForBackgroundWorkerShutdown(handle);
}

/// Has the frames of a database read again, and adds those that were not to `unread`.
void Reload(Oid database, const std::vector<CachedFrame>& hot, std::vector<CachedFrame>* unread) {
  const bool exists = Call([&] {
    StartTransactionCommand();
    const bool found = DatabaseExists(database);
    CommitTransactionCommand();
    return found;
  });
  if (!exists) return;
  RemoveHotFile(HotFile::kUnread);
  Call([&] { Reload(database); });
  const auto told = ReadHotFile(HotFile::kUnread, FrameCache::Get().capacity());
  if (told.has_value()) {
    unread->insert(unread->end(), told->begin(), told->end());
  } else {
    // It was ended, or never began.
    std::copy_if(hot.begin(), hot.end(), std::back_inserter(*unread),
                 [&](const CachedFrame& frame) { return frame.database == database; });
  }
}

/// What is in the cache, and after it what was in the file and could not be read again.
std::vector<CachedFrame> WithUnread(std::vector<CachedFrame> frames,
                                    const std::vector<CachedFrame>& unread) {
  const auto key = [](const CachedFrame& frame) {
    return std::tuple(frame.object.words[0], frame.object.words[1], frame.frame);
  };
  std::set<decltype(key(frames[0]))> cached;
  for (const CachedFrame& frame : frames) cached.insert(key(frame));
  for (const CachedFrame& frame : unread) {
    if (cached.insert(key(frame)).second) frames.push_back(frame);
  }
  return frames;
}

/// Sleeps for so long, or until there is something to do.
void Sleep(long timeout_ms) {
  int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
  if (timeout_ms >= 0) events |= WL_TIMEOUT;
  WaitLatch(MyLatch, events, timeout_ms, EventId(WaitEvent::kAutoprewarmMain));
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) return;
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
}

/// Until the next time of writing; -1: there is none before the shutdown.
long WaitMs(TimestampTz written) {
  if (interval_s == 0) return -1;
  const TimestampTz due = TimestampTzPlusMilliseconds(written, int64{interval_s} * 1000);
  return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), due);
}

void Keep() {
  Call([] {
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    // To no database: only so that pg_stat_activity shows it.
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  });
  FrameCache& cache = FrameCache::Get();
  const std::vector<CachedFrame> hot =
      ReadHotFile(HotFile::kCache, cache.capacity()).value_or(std::vector<CachedFrame>());
  std::vector<CachedFrame> unread;
  for (const Oid database : DatabasesOf(hot)) {
    // What has not been read again stays in the file.
    if (ShutdownRequestPending) return;
    Reload(database, hot, &unread);
  }
  RemoveHotFile(HotFile::kUnread);
  if (ShutdownRequestPending) return;
  TimestampTz written = GetCurrentTimestamp();
  while (!ShutdownRequestPending) {
    Call([&] { Sleep(WaitMs(written)); });
    if (ShutdownRequestPending || WaitMs(written) != 0) continue;
    WriteHotFile(HotFile::kCache, WithUnread(cache.Contents(), unread));
    written = GetCurrentTimestamp();
  }
  WriteHotFile(HotFile::kCache, WithUnread(cache.Contents(), unread));
}

}  // namespace

void AutoprewarmInit() {
  // Postmaster variables cannot be made later, and without preloading there is no shared cache.
  const bool preloading = process_shared_preload_libraries_in_progress;
  DefineCustomBoolVariable(
      "vdb.autoprewarm", "Whether what was in the cache is read again after a restart.",
      "By a background worker, when vdb_ext is in shared_preload_libraries.", &autoprewarm, false,
      preloading ? PGC_POSTMASTER : PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("vdb.autoprewarm_interval",
                          "How often it is written down what is in the cache.",
                          "0 leaves it to the shutdown.", &interval_s, 300, 0, INT_MAX / 1000,
                          PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  if (!preloading || !autoprewarm || IsBinaryUpgrade) return;
  BackgroundWorker worker = DescribeWorker("vdb_ext autoprewarm", kKeeperFunction);
  strlcpy(worker.bgw_name, worker.bgw_type, sizeof(worker.bgw_name));
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = 5;
  RegisterBackgroundWorker(&worker);
}

}  // namespace vdb::pg

extern "C" void vdb_autoprewarm_main(Datum) {
  vdb::pg::Entry("vdb_autoprewarm_main", [] { vdb::pg::Keep(); });
}
