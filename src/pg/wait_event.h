/// What a process of ours waits for, as pg_stat_activity.wait_event names it on PostgreSQL 17 and
/// later. Before, all of these are "Extension". docs/operations.md has what each means.
#pragma once

#include "pg/compat.h"

namespace vdb::pg {

enum class WaitEvent : uint8_t {
  kAutoprewarmMain,
  kCacheFrame,
  kKeyCommand,
  kLedger,
  kMirrorLock,
  kStoreAnswer,
  kStoreLock,
  kStoreRead,
  kStoreRetry,
  kStoreUpload,
  kWorkerMain,
};

/// For WaitLatch and its like. ereports where PostgreSQL has no room for another name.
inline uint32 EventId(WaitEvent event) {
  static constexpr const char* kNames[] = {"VdbAutoprewarmMain", "VdbCacheFrame", "VdbKeyCommand",
                                           "VdbLedger",          "VdbMirrorLock", "VdbStoreAnswer",
                                           "VdbStoreLock",       "VdbStoreRead",  "VdbStoreRetry",
                                           "VdbStoreUpload",     "VdbWorkerMain"};
  static_assert(lengthof(kNames) == static_cast<size_t>(WaitEvent::kWorkerMain) + 1);
  static uint32 ids[lengthof(kNames)] = {};
  const auto i = static_cast<size_t>(event);
  if (ids[i] == 0) ids[i] = compat::NewWaitEvent(kNames[i]);
  return ids[i];
}

}  // namespace vdb::pg
