/// The core's InterruptPoll as a backend answers it.
#pragma once

#include "base/interrupt.h"
#include "pg/pg.h"

namespace vdb::pg {

/// True when the next CHECK_FOR_INTERRUPTS would end the query. InterruptPending alone also stands
/// for requests that it serves and goes on from.
inline bool CancelPending(void*) noexcept {
  return InterruptPending != 0 && (QueryCancelPending != 0 || ProcDiePending != 0) &&
         InterruptHoldoffCount == 0 && CritSectionCount == 0;
}

inline constexpr InterruptPoll kCancelPoll{CancelPending, nullptr};

}  // namespace vdb::pg
