#include "store/http_context.h"

#include <algorithm>

#include "base/strcat.h"

namespace vdb::store {
namespace {

// A probe that waits for a long upload must not keep everybody out for as long.
constexpr int64_t kLongestProbeMs = 30'000;
// With less time left nobody waits for somebody else's probe.
constexpr int64_t kLeastMs = 500;
// Who gives up sooner has not found out whether the store answers.
constexpr int64_t kShortestOutageMs = 1000;

}  // namespace

Result<HttpDriver*> HttpContext::Driver() {
  if (driver == nullptr) {
    VDB_ASSIGN_OR_RETURN(driver, HttpDriver::Make(options, waiter));
  }
  return driver.get();
}

Permission::~Permission() {
  if (!answered_) context_->state->breaker.Abandoned(permit_, MonotonicMs());
}

Status Permission::Ask(std::string_view object, Deadline deadline) {
  if (permit_ != Breaker::Permit::kNo) return {};
  Breaker& breaker = context_->state->breaker;
  const int64_t now = MonotonicMs();
  permit_ = breaker.Ask(now, std::min(deadline.RemainingMs(), kLongestProbeMs));
  asked_ms_ = now;
  if (permit_ != Breaker::Permit::kNo) return {};
  Count(context_->state->not_asked);
  return StoreError(Code::kUnavailable, context_->name, object,
                    StrCat("did not answer a moment ago, and is not asked again for ",
                           breaker.OpenMs(now), " ms"))
      .Retryable();
}

void Permission::Answered() {
  if (answered_) return;
  answered_ = true;
  context_->state->breaker.Answered(MonotonicMs());
}

int64_t Permission::WaitMs(Deadline deadline) const {
  if (permit_ != Breaker::Permit::kNo) return 0;
  const Breaker& breaker = context_->state->breaker;
  const int64_t now = MonotonicMs(), open = breaker.OpenMs(now), left = deadline.RemainingMs();
  // A probe may be an upload, with all the time in the world; or it ends in a moment.
  if (breaker.state(now) == Breaker::State::kProbing) return left > kLeastMs ? open : 0;
  return open <= left / 2 ? open : 0;
}

void Permission::Failed(bool timed_out) {
  if (answered_) return;
  Breaker& breaker = context_->state->breaker;
  const int64_t now = MonotonicMs();
  if (timed_out && now - asked_ms_ < kShortestOutageMs) return;
  if (breaker.AnsweredSince(asked_ms_)) return;
  breaker.Failed(now);
  // The breaker knows: nothing is abandoned.
  answered_ = true;
}

}  // namespace vdb::store
