/// StoreState: what all who use one store know of it together: whether it answers, how fast, and
/// what has been asked of it. Atomics, valid when all zeros, for shared memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "store/breaker.h"
#include "store/http_request.h"
#include "store/latency.h"

namespace vdb::store {

/// Replies that are errors, by kind; those without a reply are HttpErrors.
enum class Refusal : uint8_t {
  kAuthorization,  // 401, 403
  kMissing,        // 404, 410
  kConflict,       // 409, 412
  kTooLarge,       // 413
  kTooMany,        // 429
  kServer,         // 500 and above
  kOther,
};
inline constexpr size_t kRefusals = static_cast<size_t>(Refusal::kOther) + 1;

struct StoreState {
  using Counter = std::atomic<uint64_t>;

  Breaker breaker;
  LatencyHistogram latency;  // of requests for ranges
  Counter requests;
  Counter received_bytes;  // bodies
  Counter sent_bytes;
  std::array<Counter, kHttpErrors> errors;
  std::array<Counter, kRefusals> refusals;
  Counter retries;
  Counter hedges;
  Counter hedges_won;
  Counter refetches;  // after bytes that did not verify
  Counter not_asked;  // operations that the breaker refused
};
static_assert(std::is_trivially_copyable_v<StoreState>);

inline void Count(StoreState::Counter& counter, uint64_t n = 1) noexcept {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace vdb::store
