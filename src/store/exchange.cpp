#include "store/exchange.h"

#include <algorithm>

namespace vdb::store {
namespace {

// What fails has taken its time already.
constexpr int kUndoMs = 2000;
// Between two looks at the breaker.
constexpr int64_t kLookMs = 100;

}  // namespace

bool ExchangeRun::Step() {
  if (ended_) return true;
  if (undoing_) return ended_ = call_->done();
  if (call_ == nullptr) {
    if (ready_ms_ > MonotonicMs()) return false;
    // An upload is worth waiting for, a search is not.
    if (const int64_t wait = permission_.WaitMs(deadline_); wait > 0) {
      // Somebody's probe may end the outage at any time.
      ready_ms_ = MonotonicMs() + std::min<int64_t>(wait, kLookMs);
      return false;
    }
    status_ = Begin();
    if (!status_.ok()) return Undo();
    return ended_ = !request_.has_value();
  }
  if (!call_->done()) return false;
  status_ = Judged();
  if (!status_.ok()) return Undo();
  // What follows may begin at once.
  return call_ == nullptr && Step();
}

bool ExchangeRun::Undo() {
  ended_ = true;
  call_.reset();
  std::optional<HttpRequest> undo = exchange_->Undo();
  if (!undo.has_value() || context_->driver == nullptr) return true;
  Result<std::unique_ptr<HttpCall>> call =
      context_->driver->Start(*std::move(undo), deadline_.Earlier(Deadline::After(kUndoMs)));
  if (!call.ok()) return true;
  call_ = std::move(call).value();
  undoing_ = true;
  return ended_ = false;
}

Status ExchangeRun::Begin() {
  VDB_RETURN_IF_ERROR(permission_.Ask(object_, deadline_));
  if (!begun_) {
    begun_ = true;
    VDB_ASSIGN_OR_RETURN(request_, exchange_->Next(nullptr));
  }
  if (!request_.has_value()) return {};
  VDB_ASSIGN_OR_RETURN(HttpDriver * driver, context_->Driver());
  Count(context_->state->sent_bytes, request_->body.size());
  VDB_ASSIGN_OR_RETURN(call_, driver->Start(*request_, deadline_));
  return {};
}

Status ExchangeRun::Judged() {
  const std::unique_ptr<HttpCall> call = std::move(call_);
  const bool is_reply = call->error() == HttpError::kNone;
  const bool expected = is_reply && exchange_->Expects(call->reply());
  const Verdict verdict = Judge(*call, *context_, expected);
  if (is_reply && !verdict.outage) permission_.Answered();
  if (verdict.kind == Verdict::Kind::kAnswer || expected) {
    permission_.Answered();
    tries_.Reset();
    VDB_ASSIGN_OR_RETURN(request_, exchange_->Next(&call->reply()));
    return {};
  }
  const std::optional<int> delay = tries_.Next(verdict);
  if (!delay.has_value() || *delay >= deadline_.RemainingMs()) return Fail(verdict);
  Count(context_->state->retries);
  ready_ms_ = MonotonicMs() + *delay;
  return {};
}

Status ExchangeRun::Fail(const Verdict& verdict) {
  if (verdict.outage) permission_.Failed(verdict.timed_out);
  Status status = StoreError(verdict.code, context_->name, object_, verdict.what);
  return verdict.code == Code::kUnavailable ? Status(std::move(status).Retryable()) : status;
}

int ExchangeRun::WaitMs() const {
  // A call has its own end.
  if (call_ != nullptr) return deadline_.WaitMs(1000);
  return deadline_.WaitMs(std::clamp<int64_t>(ready_ms_ - MonotonicMs(), 0, 1000));
}

Status Perform(HttpContext& context, Exchange& exchange, std::string object, Deadline deadline) {
  ExchangeRun run(&context, &exchange, std::move(object), deadline);
  while (!run.Step()) {
    VDB_ASSIGN_OR_RETURN(HttpDriver * driver, context.Driver());
    const WaitFor what = run.rests() ? WaitFor::kRetry : WaitFor::kAnswer;
    VDB_RETURN_IF_ERROR(driver->Pump(run.WaitMs(), what));
  }
  return run.status();
}

}  // namespace vdb::store
