/// LatchWaiter: how a backend waits for a store: for its latch as well, so that a cancel, a timeout
/// or a shutdown ends the wait at once.
#pragma once

#include "pg/pg.h"
#include "store/waiter.h"

namespace vdb::pg {

class LatchWaiter final : public store::Waiter {
 public:
  /// Serves interrupts. Throws ErrorPending when one ends the query.
  Status Wait(int fd, int timeout_ms, store::WaitFor what) override;
};

}  // namespace vdb::pg
