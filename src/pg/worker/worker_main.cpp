/// A session's worker: does what the session asks (messages.h), each in a transaction of its own.
/// It ends when the session lets its queue go, whatever the reason.
#include "pg/pg.h"

#include <cstring>
#include <type_traits>

#include "pg/catalog/ledger.h"
#include "pg/catalog/mirror_sync.h"
#include "pg/catalog/store_owner.h"
#include "pg/catalog/upgrade.h"
#include "pg/guard.h"
#include "pg/worker/messages.h"
#include "pg/worker/worker_queue.h"
#include "pg/worker/worker_segment.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "tcop/tcopprot.h"

PGDLLEXPORT void vdb_worker_main(Datum argument);
}

namespace vdb::pg {
namespace {

/// The items of a request, copied to where they are aligned. ereports unless there are `count`.
template <class T>
std::span<const T> Items(const RequestHeader& header, std::span<const char> bytes) {
  if (bytes.size() != size_t{header.count} * sizeof(T)) {
    elog(ERROR, "malformed request of kind %u", static_cast<uint32>(header.kind));
  }
  auto* const items = static_cast<T*>(palloc_extended(bytes.size() + 1, MCXT_ALLOC_HUGE));
  std::memcpy(static_cast<void*>(items), bytes.data(), bytes.size());
  return {items, header.count};
}

/// Does it, inside a transaction. `answer` is what goes back; it may have room for one OwnerRow.
void Serve(const RequestHeader& header, std::span<const char> bytes, StringInfo answer) {
  switch (header.kind) {
    case RequestKind::kAddObjects:
      return AddToLedger(Items<LedgerRow>(header, bytes));
    case RequestKind::kForgetObjects:
      return ForgetInLedger(Items<LedgerKey>(header, bytes));
    case RequestKind::kMarkObjects:
      return MarkInLedger(Items<LedgerMark>(header, bytes));
    case RequestKind::kEnsureOwner:
      for (OwnerRow row : Items<OwnerRow>(header, bytes)) {
        EnsureOwner(&row);
        appendBinaryStringInfo(answer, reinterpret_cast<const char*>(&row), sizeof(row));
      }
      return;
    case RequestKind::kAnnounceOwner:
      for (const OwnerRow& row : Items<OwnerRow>(header, bytes)) WriteOwner(row);
      return;
    case RequestKind::kConfirmOwner:
      for (const OwnerRow& row : Items<OwnerRow>(header, bytes)) ConfirmOwner(row);
      return;
    case RequestKind::kSyncMirror:
      return Entry("vdb mirror", [] { SyncMirror({}, {}); });
    case RequestKind::kFollowUpgrade:
      return FollowUpgrade();
    case RequestKind::kTryFollowUpgrade:
      return FollowUpgradeUnlessBusy();
  }
  elog(ERROR, "unknown kind of request: %u", static_cast<uint32>(header.kind));
}

void AppendHeader(StringInfo answer, int sqlstate, uint32_t count) {
  const AnswerHeader header = {sqlstate, count};
  appendBinaryStringInfo(answer, reinterpret_cast<const char*>(&header), sizeof(header));
}

void InTransaction(std::span<const char> message, StringInfo answer) {
  RequestHeader header;
  if (message.size() < sizeof(header)) elog(ERROR, "malformed request");
  std::memcpy(&header, message.data(), sizeof(header));
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  AppendHeader(answer, 0, header.count);
  Serve(header, message.subspan(sizeof(header)), answer);
  PopActiveSnapshot();
  // Whoever asked goes on to what no crash may forget, also under synchronous_commit = off.
  ForceSyncCommit();
  CommitTransactionCommand();
}

/// The ERROR that is pending goes to who asked, and the transaction away.
void AnswerError(MemoryContext memory, StringInfo answer) {
  MemoryContextSwitchTo(memory);
  const ErrorData* const error = CopyErrorData();
  FlushErrorState();
  AbortCurrentTransaction();
  MemoryContextSwitchTo(memory);
  const auto text = [](const char* from, char* to, size_t size) {
    if (from != nullptr) strlcpy(to, from, size);
  };
  ErrorAnswer fields = {};
  text(error->message, fields.message, sizeof(fields.message));
  text(error->detail, fields.detail, sizeof(fields.detail));
  text(error->hint, fields.hint, sizeof(fields.hint));
  resetStringInfo(answer);
  AppendHeader(answer, error->sqlerrcode, 1);
  appendBinaryStringInfo(answer, reinterpret_cast<const char*>(&fields), sizeof(fields));
}

/// Serves one request. False: the session has gone.
bool ServeNext(shm_mq_handle* requests, shm_mq_handle* answers, MemoryContext memory) {
  StringInfo answer;
  std::span<const char> message;
  const bool received = Call([&] {
    MemoryContextReset(memory);
    MemoryContextSwitchTo(memory);
    answer = makeStringInfo();
    pgstat_report_activity(STATE_IDLE, nullptr);
    Size size;
    void* data;
    if (Receive(requests, &size, &data, WaitEvent::kWorkerMain) != SHM_MQ_SUCCESS) return false;
    message = {static_cast<const char*>(data), size};
    pgstat_report_activity(STATE_RUNNING, "keeping the ledger of remote objects");
    return true;
  });
  if (!received) return false;
  try {
    Call([&] { InTransaction(message, answer); });
  } catch (const ErrorPending&) {
    Call([&] { AnswerError(memory, answer); });
  }
  return Call([&] {
    MemoryContextSwitchTo(memory);
    pgstat_report_stat(false);
    shm_mq_iovec part = {answer->data, static_cast<Size>(answer->len)};
    return Send(answers, &part, 1, WaitEvent::kWorkerMain) == SHM_MQ_SUCCESS;
  });
}

void Run(dsm_handle handle) {
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  dsm_segment* const segment = dsm_attach(handle);
  // The session has gone before its worker came.
  if (segment == nullptr) return;
  auto* const shared = static_cast<WorkerSegment*>(dsm_segment_address(segment));
  if (shared->magic != kWorkerMagic) elog(ERROR, "shared memory of another kind");
  shm_mq_set_receiver(shared->request_queue(), MyProc);
  shm_mq_set_sender(shared->answer_queue(), MyProc);
  shm_mq_handle* const requests = shm_mq_attach(shared->request_queue(), segment, nullptr);
  shm_mq_handle* const answers = shm_mq_attach(shared->answer_queue(), segment, nullptr);
  // As the bootstrap superuser: it writes tables that nobody else may.
  BackgroundWorkerInitializeConnectionByOid(shared->database, InvalidOid,
                                            BGWORKER_BYPASS_ALLOWCONN);
  const MemoryContext memory =
      AllocSetContextCreate(TopMemoryContext, "vdb_ext request", ALLOCSET_DEFAULT_SIZES);
  while (ServeNext(requests, answers, memory)) {
  }
}

}  // namespace
}  // namespace vdb::pg

extern "C" void vdb_worker_main(Datum argument) {
  vdb::pg::Entry("vdb_worker_main", [&] { vdb::pg::Run(DatumGetUInt32(argument)); });
}
