/// What all our dynamic background workers have in common.
#pragma once

#include <cstdio>

#include "pg/pg.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace vdb::pg {

/// A worker with a connection to a database, to be registered. type: also what pg_stat_activity
/// calls it; its name says for whom it is. function: of this library, by its exported name.
inline BackgroundWorker DescribeWorker(const char* type, const char* function) {
  BackgroundWorker worker = {};
  std::snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s for PID %d", type, MyProcPid);
  strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  strlcpy(worker.bgw_library_name, "vdb_ext", sizeof(worker.bgw_library_name));
  strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
  return worker;
}

}  // namespace vdb::pg
