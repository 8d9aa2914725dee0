/// Waiter: the one way in which anything here waits, so that whoever owns the thread can end the
/// wait: PostgreSQL's waits for the latch at the same time and looks for interrupts.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace vdb::store {

/// What is waited for, for whoever shows it to people.
enum class WaitFor : uint8_t {
  kRead,    // bytes of objects
  kUpload,  // objects on their way into the store
  kAnswer,  // to any other request
  kRetry,   // the time before another try
  kLock,    // another process that writes a record
};

class Waiter {
 public:
  virtual ~Waiter() = default;

  /// Returns when `fd` is readable, after `timeout_ms`, or earlier for no reason at all: callers
  /// look at what they wait for, and wait again. `fd` -1 means only the time; `timeout_ms` 0 only
  /// asks whether to go on. Errors: kCancelled, or another one of the owner's: the caller stops and
  /// hands it on.
  virtual Status Wait(int fd, int timeout_ms, WaitFor what) = 0;
};

/// Waits with poll(). Never asks to stop. Any thread.
class PollWaiter : public Waiter {
 public:
  Status Wait(int fd, int timeout_ms, WaitFor what) override;
};

}  // namespace vdb::store
