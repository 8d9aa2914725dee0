#include "pg/pg.h"

#include "pg/worker/worker_queue.h"

extern "C" {
#include "storage/latch.h"
}

namespace vdb::pg {
namespace {

/// The other side sets the latch when it has read, written, come or gone.
void WaitForLatch(WaitEvent event) {
  WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, EventId(event));
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
}

}  // namespace

shm_mq_result Receive(shm_mq_handle* queue, Size* size, void** data, WaitEvent event) {
  for (;;) {
    const shm_mq_result result = shm_mq_receive(queue, size, data, true);
    if (result != SHM_MQ_WOULD_BLOCK) return result;
    WaitForLatch(event);
  }
}

shm_mq_result Send(shm_mq_handle* queue, shm_mq_iovec* parts, int count, WaitEvent event) {
  for (;;) {
    const shm_mq_result result = shm_mq_sendv(queue, parts, count, true, true);
    if (result != SHM_MQ_WOULD_BLOCK) return result;
    WaitForLatch(event);
  }
}

}  // namespace vdb::pg
