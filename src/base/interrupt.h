/// InterruptPoll: how long loops in the core ask whether they should stop, without knowing who
/// asks.
#pragma once

#include "base/status.h"

namespace vdb {

/// Called at least every ~10 ms of CPU time. A default one never stops anything. What `pending`
/// throws passes through the core, which has nothing to undo but its memory.
struct InterruptPoll {
  bool (*pending)(void* arg) = nullptr;
  void* arg = nullptr;

  /// OK, or kCancelled when the owner wants the work to end.
  Status Check() const {
    if (pending != nullptr && pending(arg)) return {Code::kCancelled, "interrupted"};
    return {};
  }
};

}  // namespace vdb
