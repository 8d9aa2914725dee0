#include "store/http_context.h"

#include <algorithm>

#include "base/strcat.h"

namespace vdb::store {
namespace {

// A probe that waits for a long upload must not keep everybody out for as long.
constexpr int64_t kLongestProbeMs = 30'000;

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
  context_->state->breaker.Answered();
}

void Permission::Failed() {
  if (answered_) return;
  context_->state->breaker.Failed(MonotonicMs());
  // The breaker knows: nothing is abandoned.
  answered_ = true;
}

}  // namespace vdb::store
