#include "store/range_batch.h"

#include <algorithm>

#include "base/strcat.h"
#include "store/url.h"

namespace vdb::store {
namespace {

constexpr int kMostRedirects = 5;
// As many latencies say what is slow.
constexpr uint64_t kEnoughLatencies = 20;
constexpr uint64_t kRequestsPerHedge = 20;
constexpr int64_t kShortestHedgeMs = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

RangeBatch::RangeBatch(HttpContext* context, RangeSource* source,
                       std::span<const RangeRequest> requests, RangeSink* sink, Deadline deadline,
                       bool hedges)
    : context_(context),
      source_(source),
      requests_(requests),
      sink_(sink),
      deadline_(deadline),
      hedges_(hedges),
      permission_(context),
      left_(requests.size()) {
  for (size_t i = 0; i < requests.size(); ++i) {
    fetches_.push_back({.index = i, .tries = Tries(&context->random)});
    waiting_.push_back(&fetches_.back());
  }
}

Status RangeBatch::Error(const Fetch& fetch, Code code, std::string_view what) const {
  Status status = StoreError(code, context_->name, Describe(ObjectOf(fetch)), what);
  return code == Code::kUnavailable ? Status(std::move(status).Retryable()) : status;
}

Status RangeBatch::Run() {
  while (!Step()) {
    VDB_RETURN_IF_ERROR(driver_->Pump(WaitMs(), rests() ? WaitFor::kRetry : WaitFor::kRead));
  }
  return status_;
}

bool RangeBatch::Step() {
  if (ended_) return true;
  const Result<bool> all = Advance();
  status_ = all.status();
  return ended_ = !all.ok() || all.value();
}

Status RangeBatch::Begin() {
  VDB_RETURN_IF_ERROR(CheckRanges(requests_));
  if (left_ == 0) return {};
  VDB_ASSIGN_OR_RETURN(driver_, context_->Driver());
  return {};
}

Result<bool> RangeBatch::Advance() {
  if (driver_ == nullptr) VDB_RETURN_IF_ERROR(Begin());
  VDB_RETURN_IF_ERROR(Land());
  if (left_ == 0) return true;
  if (deadline_.Expired()) {
    // What is under way is given up, and judged by nobody else.
    Count(context_->state->requests, flying_.size());
    Count(context_->state->errors[static_cast<size_t>(HttpError::kTimeout)], flying_.size());
    const Fetch& fetch = SlowestFetch();
    if (!fetch.other_host) permission_.Failed(true);
    return Error(fetch, Code::kUnavailable, Describe(HttpError::kTimeout));
  }
  VDB_RETURN_IF_ERROR(StartMore());
  VDB_RETURN_IF_ERROR(StartHedges());
  return false;
}

Status RangeBatch::Land() {
  for (size_t i = 0; i < flying_.size();) {
    VDB_ASSIGN_OR_RETURN(const bool landed, Handle(*flying_[i]));
    if (landed) {
      flying_[i] = flying_.back();
      flying_.pop_back();
    } else {
      ++i;
    }
  }
  return {};
}

const RangeBatch::Fetch& RangeBatch::SlowestFetch() const {
  if (flying_.empty()) return *waiting_.front();
  const auto asks_store = [](const Fetch* fetch) { return !fetch->other_host; };
  const auto found = std::find_if(flying_.begin(), flying_.end(), asks_store);
  return found == flying_.end() ? *flying_.front() : **found;
}

Result<HttpRequest> RangeBatch::RequestOf(const Fetch& fetch, std::span<uint8_t> target) {
  const RangeRequest& wanted = requests_[fetch.index];
  VDB_ASSIGN_OR_RETURN(HttpRequest request, source_->GetRequest(*wanted.object));
  request.range = WantedRange{wanted.offset, target, wanted.object->size};
  request.fresh_connection = fetch.refetched;
  if (!fetch.redirected_to.empty()) {
    request.url = fetch.redirected_to;
    if (fetch.other_host) {
      request.bearer_token = nullptr;
      request.sign = nullptr;
      request.headers.clear();
    }
  }
  return request;
}

void RangeBatch::Recall(Fetch& fetch) {
  Redirects* const redirects = source_->redirects();
  if (redirects == nullptr || fetch.asked || !fetch.redirected_to.empty()) return;
  const Redirects::Location* const known = redirects->Find(ObjectOf(fetch), MonotonicMs());
  if (known == nullptr) return;
  fetch.redirected_to = known->url;
  fetch.other_host = known->other_host;
  fetch.remembered = true;
}

void RangeBatch::AskAgain(Fetch& fetch) {
  if (Redirects* const redirects = source_->redirects()) redirects->Forget(ObjectOf(fetch));
  fetch.redirected_to.clear();
  fetch.other_host = false;
  fetch.redirects = 0;
  fetch.remembered = false;
  fetch.asked = true;
}

void RangeBatch::AskAtOnce(Fetch& fetch) {
  AskAgain(fetch);
  fetch.ready_ms = 0;
  waiting_.push_front(&fetch);
}

Status RangeBatch::Start(Fetch& fetch) {
  Recall(fetch);
  if (!fetch.other_host) VDB_RETURN_IF_ERROR(permission_.Ask(Describe(ObjectOf(fetch)), deadline_));
  fetch.call_deadline = deadline_;
  // A place that does not answer leaves as much time to ask the store for another one.
  if (fetch.remembered)
    fetch.call_deadline = deadline_.Earlier(Deadline::After(deadline_.RemainingMs() / 2));
  VDB_ASSIGN_OR_RETURN(HttpRequest request, RequestOf(fetch, requests_[fetch.index].target));
  VDB_ASSIGN_OR_RETURN(fetch.call, driver_->Start(std::move(request), fetch.call_deadline));
  fetch.started_ms = MonotonicMs();
  fetch.hedged = false;
  flying_.push_back(&fetch);
  return {};
}

Status RangeBatch::StartMore() {
  const size_t most = static_cast<size_t>(context_->options.max_connections);
  const int64_t now = MonotonicMs();
  // Those that wait for a retry keep their place, and let others pass.
  for (size_t i = 0; i < waiting_.size() && flying_.size() < most;) {
    if (waiting_[i]->ready_ms > now) {
      ++i;
      continue;
    }
    Fetch& fetch = *waiting_[i];
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    VDB_RETURN_IF_ERROR(Start(fetch));
  }
  return {};
}

int64_t RangeBatch::HedgeAfterMs() const {
  const StoreState& state = *context_->state;
  // What curl would queue behind other requests hedges nothing.
  const bool full = flying_.size() >= static_cast<size_t>(context_->options.max_connections);
  const uint64_t hedges = state.hedges.load(std::memory_order_relaxed);
  const uint64_t requests = state.requests.load(std::memory_order_relaxed);
  if (!hedges_ || full || (hedges + 1) * kRequestsPerHedge > requests ||
      state.latency.count() < kEnoughLatencies)
    return INT64_MAX;
  return std::max(state.latency.Quantile(0.95) / 1000 + 1, kShortestHedgeMs);
}

Status RangeBatch::StartHedges() {
  const int64_t now = MonotonicMs();
  for (Fetch* fetch : flying_) {
    const int64_t after_ms = HedgeAfterMs();
    if (after_ms == INT64_MAX) return {};
    if (fetch->hedged || now - fetch->started_ms < after_ms) continue;
    // Into memory of its own: the first request may still be writing into the target.
    fetch->hedge_target.resize(requests_[fetch->index].target.size());
    VDB_ASSIGN_OR_RETURN(HttpRequest request, RequestOf(*fetch, fetch->hedge_target));
    VDB_ASSIGN_OR_RETURN(fetch->hedge, driver_->Start(std::move(request), fetch->call_deadline));
    fetch->hedged = true;
    Count(context_->state->hedges);
  }
  return {};
}

int RangeBatch::WaitMs() const {
  const int64_t now = MonotonicMs();
  int64_t wait = 1000;
  const bool room = flying_.size() < static_cast<size_t>(context_->options.max_connections);
  for (const Fetch* fetch : waiting_) {
    if (room) wait = std::min(wait, fetch->ready_ms - now);
  }
  const int64_t hedge_after_ms = HedgeAfterMs();
  if (hedge_after_ms != INT64_MAX) {
    for (const Fetch* fetch : flying_) {
      if (!fetch->hedged) wait = std::min(wait, fetch->started_ms + hedge_after_ms - now);
    }
  }
  return deadline_.WaitMs(std::max<int64_t>(wait, 0));
}

Result<bool> RangeBatch::Handle(Fetch& fetch) {
  if (fetch.hedge != nullptr && fetch.hedge->done()) {
    const std::unique_ptr<HttpCall> hedge = std::move(fetch.hedge);
    const Verdict verdict = Judge(*hedge, *context_);
    if (verdict.kind == Verdict::Kind::kAnswer) {
      // The first request is given up before its target is written to.
      fetch.call.reset();
      const std::span<uint8_t> target = requests_[fetch.index].target;
      std::copy(fetch.hedge_target.begin(), fetch.hedge_target.end(), target.begin());
      Count(context_->state->hedges_won);
      VDB_RETURN_IF_ERROR(Arrived(fetch));
      return true;
    }
  }
  if (fetch.call == nullptr || !fetch.call->done()) return false;
  const std::unique_ptr<HttpCall> call = std::move(fetch.call);
  if (call->error() == HttpError::kNone && source_->redirects() != nullptr &&
      IsRedirect(call->reply().status)) {
    Count(context_->state->requests);
    if (!fetch.other_host) permission_.Answered();
    Status followed = Redirect(fetch, call->reply());
    if (!followed.ok() && !fetch.remembered) return followed;
    if (!followed.ok()) AskAtOnce(fetch);
    return true;
  }
  const Verdict verdict = Judge(*call, *context_);
  fetch.hedge.reset();
  if (verdict.kind == Verdict::Kind::kAnswer) {
    context_->state->latency.Add(call->finished_us() - call->started_us());
    VDB_RETURN_IF_ERROR(Arrived(fetch));
    return true;
  }
  if (fetch.remembered) {
    AskAtOnce(fetch);
    return true;
  }
  const bool elsewhere = fetch.other_host;
  // Where the bytes are may have changed: it is asked for again.
  AskAgain(fetch);
  if (call->error() == HttpError::kNone && !verdict.outage && !elsewhere) permission_.Answered();
  if (verdict.code == Code::kCorruption) {
    VDB_RETURN_IF_ERROR(FetchAgain(fetch, verdict.what));
    return true;
  }
  const std::optional<int> delay = fetch.tries.Next(verdict);
  if (!delay.has_value() || *delay >= deadline_.RemainingMs()) {
    if (verdict.outage && !elsewhere) permission_.Failed(verdict.timed_out);
    return Error(fetch, verdict.code, verdict.what);
  }
  Count(context_->state->retries);
  fetch.ready_ms = MonotonicMs() + *delay;
  waiting_.push_back(&fetch);
  return true;
}

Status RangeBatch::Arrived(Fetch& fetch) {
  if (!fetch.other_host) permission_.Answered();
  Status taken = sink_->Done(fetch.index);
  if (taken.code() == Code::kCorruption) return FetchAgain(fetch, taken.message());
  if (!taken.ok()) return taken;
  --left_;
  if (fetch.redirects > 0) {
    source_->redirects()->Remember(ObjectOf(fetch), {fetch.redirected_to, fetch.other_host},
                                   MonotonicMs());
  }
  return {};
}

Status RangeBatch::FetchAgain(Fetch& fetch, const std::string& why) {
  if (fetch.refetched) return Error(fetch, Code::kCorruption, why);
  fetch.refetched = true;
  fetch.ready_ms = 0;
  AskAgain(fetch);
  Count(context_->state->refetches);
  waiting_.push_back(&fetch);
  return {};
}

Status RangeBatch::Redirect(Fetch& fetch, const HttpReply& reply) {
  if (++fetch.redirects > kMostRedirects)
    return Error(fetch, Code::kUnavailable, "redirected too often");
  VDB_ASSIGN_OR_RETURN(const HttpRequest original, source_->GetRequest(ObjectOf(fetch)));
  const std::string& from = fetch.redirected_to.empty() ? original.url : fetch.redirected_to;
  Result<std::string> to = ResolveUrl(from, reply.Header("location"));
  if (!to.ok()) return Error(fetch, to.status().code(), to.status().message());
  // Nor does a redirect take encryption away.
  if (IsHttps(from) && !IsHttps(to.value()))
    return Error(fetch, Code::kUnavailable, "redirected from https to http");
  fetch.other_host = !SameOrigin(original.url, to.value());
  fetch.redirected_to = std::move(to).value();
  fetch.hedge.reset();
  fetch.ready_ms = 0;
  waiting_.push_front(&fetch);
  return {};
}

}  // namespace vdb::store
