/// WorkerClient: a session's worker: a background worker of its own, which does in transactions of
/// its own what must be committed whatever becomes of the session's (messages.h).
///
/// It is started when one is made and goes when it is closed, or its resource owner released, as at
/// the end of the (sub)transaction: so it is connected to the database only while its session is,
/// and DROP DATABASE and CREATE DATABASE ... TEMPLATE wait for nobody but that.
///
/// Waits serve interrupts. Everything may throw.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "pg/pg.h"
#include "pg/worker/messages.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"
}

namespace vdb::pg {

class WorkerClient {
 public:
  /// Starts the worker. Errors: 53000 when max_worker_processes leaves none; 0A000 in a standalone
  /// backend. Lives in the current resource owner and memory context.
  WorkerClient();
  WorkerClient(const WorkerClient&) = delete;
  WorkerClient& operator=(const WorkerClient&) = delete;

  /// Has it done. Returns what the kind answers with.
  /// Errors: those of the work, with their SQLSTATE; 55000 when the worker has ended.
  template <class T>
  std::vector<uint8_t> Ask(RequestKind kind, std::span<const T> items) {
    static_assert(std::is_trivially_copyable_v<T>);
    return AskBytes(kind, static_cast<uint32_t>(items.size()),
                    {reinterpret_cast<const uint8_t*>(items.data()), items.size_bytes()});
  }
  template <class T>
  std::vector<uint8_t> Ask(RequestKind kind, const T& item) {
    return Ask(kind, std::span<const T>(&item, 1));
  }

  /// After a pg_upgrade, before anything else: ledger and owner records are as they were in the old
  /// cluster (catalog/upgrade.h).
  void FollowUpgrade() { Ask(RequestKind::kFollowUpgrade, std::span<const Oid>()); }
  /// The same, before a build: not if it would have to wait.
  void TryFollowUpgrade() { Ask(RequestKind::kTryFollowUpgrade, std::span<const Oid>()); }

  /// Lets it go. No more may be asked.
  void Close();

 private:
  std::vector<uint8_t> AskBytes(RequestKind kind, uint32_t count, std::span<const uint8_t> bytes);

  dsm_segment* segment_ = nullptr;
  BackgroundWorkerHandle* worker_ = nullptr;
  shm_mq_handle* requests_ = nullptr;
  shm_mq_handle* answers_ = nullptr;
};

}  // namespace vdb::pg
