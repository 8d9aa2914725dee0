/// The message queues between a session and its worker, waited for by a name of our own.
#pragma once

#include "pg/wait_event.h"

extern "C" {
#include "storage/shm_mq.h"
}

namespace vdb::pg {

/// As shm_mq_receive and shm_mq_sendv, waiting. Serve interrupts; ereport.
shm_mq_result Receive(shm_mq_handle* queue, Size* size, void** data, WaitEvent event);
shm_mq_result Send(shm_mq_handle* queue, shm_mq_iovec* parts, int count, WaitEvent event);

}  // namespace vdb::pg
