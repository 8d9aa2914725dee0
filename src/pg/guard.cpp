#include "pg/guard.h"

#include "pg/error.h"

namespace vdb::pg {
namespace internal {

void CopyStatus(const Status& status, Caught* caught) noexcept {
  caught->kind = Caught::kStatus;
  caught->code = status.code();
  strlcpy(caught->message, status.message().c_str(), sizeof(caught->message));
  strlcpy(caught->detail, status.detail().c_str(), sizeof(caught->detail));
  strlcpy(caught->hint, status.hint().c_str(), sizeof(caught->hint));
}

void Raise(const char* function, const Caught& caught) {
  switch (caught.kind) {
    case Caught::kPending:
      // As errfinish left them: whoever catches this starts from zero, and Call put back more.
      InterruptHoldoffCount = 0;
      QueryCancelHoldoffCount = 0;
      PG_RE_THROW();
    case Caught::kStatus:
      // The core stopped because an interrupt is pending: let PostgreSQL say which one.
      if (caught.code == Code::kCancelled) CHECK_FOR_INTERRUPTS();
      ereport(ERROR, (errcode(SqlState(caught.code)), errmsg_internal("%s", caught.message),
                      caught.detail[0] != '\0' ? errdetail_internal("%s", caught.detail) : 0,
                      caught.hint[0] != '\0' ? errhint("%s", caught.hint) : 0));
    case Caught::kNoMemory:
      ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
                      errdetail_internal("Allocation failed in %s.", function)));
    case Caught::kException:
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                      errmsg_internal("unexpected exception in %s: %s", function, caught.message)));
    case Caught::kNone:
      break;
  }
  pg_unreachable();
}

}  // namespace internal

void RaiseStatus(Status&& status) {
  internal::Caught caught;
  internal::CopyStatus(status, &caught);
  status = Status();
  internal::Raise("vdb", caught);
}

}  // namespace vdb::pg
