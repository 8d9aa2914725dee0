/// What a session asks of its worker (worker_client.h, worker_main.cpp): the worker does it in a
/// transaction of its own and has committed, flushed, when it answers.
///
/// A request is a RequestHeader and `count` structs of its kind; an answer an AnswerHeader, and the
/// structs that the kind returns. They pass through shared memory between processes of one build of
/// this library, so their layout is nobody else's business.
#pragma once

#include "pg/catalog/ledger.h"
#include "pg/catalog/store_owner.h"

namespace vdb::pg {

enum class RequestKind : uint32_t {
  kAddObjects = 1,    // LedgerRow: into the ledger
  kForgetObjects,     // LedgerKey: out of it
  kMarkObjects,       // LedgerMark: nothing refers to them since
  kEnsureOwner,       // OwnerRow, one: added unless there is one; answers with what there is
  kAnnounceOwner,     // OwnerRow, one: the record holds `token`, and `pending` will be written
  kConfirmOwner,      // OwnerRow, one: `pending` has been written
  kSyncMirror,        // Oid, none: the mirror is brought in line with the pages
  kFollowUpgrade,     // Oid, none: ledger and owner records, with the servers of this cluster
  kTryFollowUpgrade,  // the same, unless another transaction has and has not ended
};

struct RequestHeader {
  RequestKind kind;
  uint32_t count;
};

struct AnswerHeader {
  int32_t sqlstate;  // 0: done; else an ErrorAnswer follows, and nothing has been changed
  uint32_t count;
};

struct ErrorAnswer {
  char message[512], detail[512], hint[256];
};

static_assert(std::is_trivially_copyable_v<RequestHeader>);
static_assert(std::is_trivially_copyable_v<AnswerHeader>);
static_assert(std::is_trivially_copyable_v<ErrorAnswer>);

}  // namespace vdb::pg
