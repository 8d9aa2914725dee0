/// Breaker: keeps those who would wait in vain from waiting. After an operation has failed because
/// the store does not answer, others fail at once, for a second at first, then for twice as long
/// each time, up to 15; then one tries, and the others wait for what it finds.
///
/// Its state is a few atomics, valid when all zeros, that may lie in memory which processes share:
/// an outage costs one timeout and not one in each of them. Any thread, any process of one machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace vdb::store {

class Breaker {
 public:
  enum class Permit : uint8_t {
    kNo,
    kYes,
    kProbe,  // yes, alone
  };
  enum class State : uint8_t { kClosed, kOpen, kProbing };

  /// `probe_ms`: how long one who tries may take until another one tries.
  Permit Ask(int64_t now_ms, int64_t probe_ms) noexcept;
  /// What came of a permit: the store has answered, whatever it said.
  void Answered(int64_t now_ms) noexcept;
  /// The store did not answer, in spite of retries.
  void Failed(int64_t now_ms) noexcept;
  /// Nothing is known: cancelled, for example.
  void Abandoned(Permit permit, int64_t now_ms) noexcept;

  /// Whether it has answered anybody since then (it may have, up to kAnsweredMs ago, when this says
  /// no).
  bool AnsweredSince(int64_t then_ms) const noexcept { return answered_ms_.load() >= then_ms; }

  State state(int64_t now_ms) const noexcept;
  /// How long it stays open, in ms.
  int64_t OpenMs(int64_t now_ms) const noexcept;

 private:
  static constexpr int64_t kAnsweredMs = 100;

  // 0: closed. Until then nobody is let through; afterwards one, who moves it on.
  std::atomic<int64_t> open_until_ms_;
  std::atomic<uint32_t> failures_;  // in a row
  std::atomic<uint32_t> probing_;
  std::atomic<int64_t> answered_ms_;  // last
};
static_assert(std::is_trivially_copyable_v<Breaker> && std::is_standard_layout_v<Breaker>);
static_assert(std::atomic<int64_t>::is_always_lock_free);

}  // namespace vdb::store
