#include "pg/pg.h"

#include "pg/store/latch_waiter.h"

#include "pg/guard.h"
#include "pg/wait_event.h"

extern "C" {
#include "storage/latch.h"
}

namespace vdb::pg {

namespace {

WaitEvent EventOf(store::WaitFor what) {
  switch (what) {
    case store::WaitFor::kRead:
      return WaitEvent::kStoreRead;
    case store::WaitFor::kUpload:
      return WaitEvent::kStoreUpload;
    case store::WaitFor::kAnswer:
      return WaitEvent::kStoreAnswer;
    case store::WaitFor::kRetry:
      return WaitEvent::kStoreRetry;
    case store::WaitFor::kLock:
      return WaitEvent::kStoreLock;
  }
  return WaitEvent::kStoreAnswer;
}

}  // namespace

Status LatchWaiter::Wait(int fd, int timeout_ms, store::WaitFor what) {
  Call([&] {
    CHECK_FOR_INTERRUPTS();
    if (timeout_ms <= 0) return;
    const int socket_event = fd < 0 ? 0 : WL_SOCKET_READABLE;
    const int events =
        WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | socket_event,
                          fd < 0 ? PGINVALID_SOCKET : fd, timeout_ms, EventId(EventOf(what)));
    if ((events & WL_LATCH_SET) != 0) {
      ResetLatch(MyLatch);
      CHECK_FOR_INTERRUPTS();
    }
  });
  return {};
}

}  // namespace vdb::pg
