/// The core's InterruptPoll as a backend answers it.
#pragma once

#include "base/interrupt.h"
#include "pg/guard.h"

namespace vdb::pg {

/// True when the next CHECK_FOR_INTERRUPTS would end the query for a cancel or a SIGTERM.
/// Everything else that it serves is served here: barriers, for which DROP DATABASE and others wait
/// in every backend, recovery conflicts, messages of parallel workers, requests for figures. Throws
/// ErrorPending when that ends the query.
inline bool CancelPending(void*) {
  if (likely(InterruptPending == 0) || InterruptHoldoffCount != 0 || CritSectionCount != 0) {
    return false;
  }
  if (QueryCancelPending != 0 || ProcDiePending != 0) return true;
  Call([] { CHECK_FOR_INTERRUPTS(); });
  return false;
}

inline constexpr InterruptPoll kCancelPoll{CancelPending, nullptr};

}  // namespace vdb::pg
