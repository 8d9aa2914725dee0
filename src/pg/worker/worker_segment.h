/// The shared memory between a session and its worker: two message queues.
#pragma once

#include <cstdint>

#include "pg/pg.h"

extern "C" {
#include "storage/shm_mq.h"
}

namespace vdb::pg {

inline constexpr uint64_t kWorkerMagic = 0x7664625f776f726bull;  // "vdb_work"
// A few dozen rows of the ledger; longer messages pass through in pieces.
inline constexpr size_t kQueueBytes = 16384;

struct WorkerSegment {
  uint64_t magic;
  Oid database;
  alignas(MAXIMUM_ALIGNOF) char requests[kQueueBytes];  // shm_mq
  alignas(MAXIMUM_ALIGNOF) char answers[kQueueBytes];   // shm_mq

  shm_mq* request_queue() { return reinterpret_cast<shm_mq*>(requests); }
  shm_mq* answer_queue() { return reinterpret_cast<shm_mq*>(answers); }
};
static_assert(std::is_trivially_copyable_v<WorkerSegment>);

inline constexpr char kWorkerFunction[] = "vdb_worker_main";

}  // namespace vdb::pg
