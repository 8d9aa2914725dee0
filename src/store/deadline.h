/// Deadline: the moment at which an operation on a store gives up. By the monotonic clock, so that
/// a changed system time neither cuts an operation short nor prolongs it.
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>

#include "base/clock.h"

namespace vdb::store {

/// Milliseconds of the monotonic clock, which all processes of a machine share. Never 0.
inline int64_t MonotonicMs() { return NowNs() / 1'000'000 + 1; }

class Deadline {
 public:
  static Deadline After(int64_t ms) { return Deadline(MonotonicMs() + std::max<int64_t>(ms, 0)); }
  static Deadline Never() { return Deadline(INT64_MAX); }

  /// What is left, 0 when it has passed.
  int64_t RemainingMs() const {
    return at_ms_ == INT64_MAX ? INT64_MAX : std::max<int64_t>(at_ms_ - MonotonicMs(), 0);
  }
  bool Expired() const { return RemainingMs() == 0; }
  /// The shorter of `ms` and what is left, as poll() wants it.
  int WaitMs(int64_t ms) const {
    return static_cast<int>(std::clamp<int64_t>(std::min(ms, RemainingMs()), 0, INT_MAX));
  }
  /// The earlier of two.
  Deadline Earlier(Deadline other) const { return Deadline(std::min(at_ms_, other.at_ms_)); }

 private:
  explicit Deadline(int64_t at_ms) : at_ms_(at_ms) {}
  int64_t at_ms_;
};

}  // namespace vdb::store
