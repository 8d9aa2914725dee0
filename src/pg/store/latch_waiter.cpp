#include "pg/pg.h"

#include "pg/store/latch_waiter.h"

#include "pg/guard.h"

extern "C" {
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace vdb::pg {

Status LatchWaiter::Wait(int fd, int timeout_ms) {
  Call([&] {
    CHECK_FOR_INTERRUPTS();
    if (timeout_ms <= 0) return;
    const int socket_event = fd < 0 ? 0 : WL_SOCKET_READABLE;
    const int events =
        WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | socket_event,
                          fd < 0 ? PGINVALID_SOCKET : fd, timeout_ms, PG_WAIT_EXTENSION);
    if ((events & WL_LATCH_SET) != 0) {
      ResetLatch(MyLatch);
      CHECK_FOR_INTERRUPTS();
    }
  });
  return {};
}

}  // namespace vdb::pg
