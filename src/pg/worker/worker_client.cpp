#include "pg/pg.h"

#include "pg/worker/worker_client.h"

#include <cstring>

#include "pg/guard.h"
#include "pg/worker/registration.h"
#include "pg/worker/worker_queue.h"
#include "pg/worker/worker_segment.h"

namespace vdb::pg {
namespace {

[[noreturn]] void RaiseLost() {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("lost connection to the background worker of vdb_ext"),
                  errhint("The server's log says why it ended.")));
}

[[noreturn]] void RaiseAnswer(const AnswerHeader& header, const ErrorAnswer& error) {
  ereport(ERROR, (errcode(header.sqlstate), errmsg_internal("%s", error.message),
                  error.detail[0] != '\0' ? errdetail_internal("%s", error.detail) : 0,
                  error.hint[0] != '\0' ? errhint("%s", error.hint) : 0,
                  errcontext("background worker of vdb_ext")));
}

/// The session's (sub)transaction fails: nobody wants to know any more what the worker is waiting
/// for, such as a lock.
extern "C" void vdb_worker_abandon(dsm_segment*, Datum worker) {
  TerminateBackgroundWorker(reinterpret_cast<BackgroundWorkerHandle*>(DatumGetPointer(worker)));
}

}  // namespace

WorkerClient::WorkerClient() {
  Call([&] {
    if (!IsUnderPostmaster) {
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("remote stores cannot be written in single-user mode")));
    }
    segment_ = dsm_create(sizeof(WorkerSegment), 0);
    auto* const shared = static_cast<WorkerSegment*>(dsm_segment_address(segment_));
    shared->magic = kWorkerMagic;
    shared->database = MyDatabaseId;
    shm_mq* const requests = shm_mq_create(shared->requests, kQueueBytes);
    shm_mq* const answers = shm_mq_create(shared->answers, kQueueBytes);
    shm_mq_set_sender(requests, MyProc);
    shm_mq_set_receiver(answers, MyProc);

    BackgroundWorker worker = DescribeWorker("vdb_ext worker", kWorkerFunction);
    worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment_));
    worker.bgw_notify_pid = MyProcPid;
    // Its handle outlives the memory of queries, which goes before resource owners are released.
    const MemoryContext memory = MemoryContextSwitchTo(TopTransactionContext);
    const bool registered = RegisterDynamicBackgroundWorker(&worker, &worker_);
    MemoryContextSwitchTo(memory);
    if (!registered) {
      ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                      errmsg("could not register a background worker for a remote store"),
                      errhint("You may need to increase max_worker_processes.")));
    }
    on_dsm_detach(segment_, vdb_worker_abandon, PointerGetDatum(worker_));
    requests_ = shm_mq_attach(requests, segment_, worker_);
    answers_ = shm_mq_attach(answers, segment_, worker_);
  });
}

std::vector<uint8_t> WorkerClient::AskBytes(RequestKind kind, uint32_t count,
                                            std::span<const uint8_t> bytes) {
  const RequestHeader header = {kind, count};
  Size size = 0;
  void* message = nullptr;
  Call([&] {
    shm_mq_iovec parts[] = {
        {reinterpret_cast<const char*>(&header), sizeof(header)},
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
    };
    if (Send(requests_, parts, lengthof(parts), WaitEvent::kLedger) != SHM_MQ_SUCCESS ||
        Receive(answers_, &size, &message, WaitEvent::kLedger) != SHM_MQ_SUCCESS) {
      RaiseLost();
    }
    AnswerHeader answer;
    if (size < sizeof(answer)) RaiseLost();
    std::memcpy(&answer, message, sizeof(answer));
    if (answer.sqlstate != 0) {
      ErrorAnswer error;
      if (size != sizeof(answer) + sizeof(error)) RaiseLost();
      std::memcpy(&error, static_cast<char*>(message) + sizeof(answer), sizeof(error));
      RaiseAnswer(answer, error);
    }
  });
  const auto* const begin = static_cast<const uint8_t*>(message);
  return {begin + sizeof(AnswerHeader), begin + size};
}

void WorkerClient::Close() {
  if (segment_ == nullptr) return;
  dsm_segment* const segment = segment_;
  segment_ = nullptr;
  Call([&] {
    // By itself: it is idle.
    cancel_on_dsm_detach(segment, vdb_worker_abandon, PointerGetDatum(worker_));
    dsm_detach(segment);
  });
}

}  // namespace vdb::pg
