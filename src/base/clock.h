/// The clock by which things are timed.
#pragma once

#include <chrono>
#include <cstdint>

namespace vdb {

/// Nanoseconds of the monotonic clock, which all processes of a machine share. Some 20 ns, no
/// system call: cheap for each round of a search, not for each row.
inline int64_t NowNs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace vdb
