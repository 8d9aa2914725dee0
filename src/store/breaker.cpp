#include "store/breaker.h"

#include <algorithm>

namespace vdb::store {
namespace {

constexpr int64_t kFirstMs = 1000;
constexpr int64_t kLongestMs = 15'000;

}  // namespace

Breaker::Permit Breaker::Ask(int64_t now_ms, int64_t probe_ms) noexcept {
  int64_t until = open_until_ms_.load(std::memory_order_acquire);
  if (until == 0) return Permit::kYes;
  if (now_ms < until) return Permit::kNo;
  // Whoever moves the time on is the one. Should it never come back, its time runs out.
  if (!open_until_ms_.compare_exchange_strong(until, now_ms + std::max<int64_t>(probe_ms, 1)))
    return until == 0 ? Permit::kYes : Permit::kNo;
  probing_.store(1, std::memory_order_relaxed);
  return Permit::kProbe;
}

void Breaker::Answered(int64_t now_ms) noexcept {
  // The usual case writes nothing: the line stays shared between processors.
  if (now_ms - answered_ms_.load(std::memory_order_relaxed) >= kAnsweredMs)
    answered_ms_.store(now_ms);
  if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0);
  if (probing_.load(std::memory_order_relaxed) != 0) probing_.store(0);
  if (open_until_ms_.load(std::memory_order_relaxed) != 0) open_until_ms_.store(0);
}

void Breaker::Failed(int64_t now_ms) noexcept {
  // Those who were under way when it opened are not failures of their own.
  if (open_until_ms_.load() > now_ms && probing_.load() == 0) return;
  const uint32_t failures = std::min<uint32_t>(failures_.load(), 10);
  failures_.store(failures + 1);
  probing_.store(0);
  open_until_ms_.store(now_ms + std::min(kLongestMs, kFirstMs << failures));
}

void Breaker::Abandoned(Permit permit, int64_t now_ms) noexcept {
  if (permit != Permit::kProbe) return;
  probing_.store(0);
  // The next one tries at once.
  if (open_until_ms_.load() != 0) open_until_ms_.store(now_ms);
}

Breaker::State Breaker::state(int64_t now_ms) const noexcept {
  if (open_until_ms_.load() == 0) return State::kClosed;
  return probing_.load() != 0 && OpenMs(now_ms) > 0 ? State::kProbing : State::kOpen;
}

int64_t Breaker::OpenMs(int64_t now_ms) const noexcept {
  return std::max<int64_t>(open_until_ms_.load() - now_ms, 0);
}

}  // namespace vdb::store
