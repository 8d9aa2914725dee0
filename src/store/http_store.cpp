#include "store/http_store.h"

#include <algorithm>
#include <utility>

#include "store/http_uploads.h"

namespace vdb::store {
namespace {

class SingleRequest : public Exchange {
 public:
  SingleRequest(HttpRequest request, std::vector<int> expected)
      : request_(std::move(request)), expected_(std::move(expected)) {}
  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override {
    if (last == nullptr) return std::optional<HttpRequest>(request_);
    reply = *last;
    return std::optional<HttpRequest>();
  }
  bool Expects(const HttpReply& got) const override {
    return std::find(expected_.begin(), expected_.end(), got.status) != expected_.end();
  }

  HttpReply reply;

 private:
  HttpRequest request_;
  std::vector<int> expected_;
};

}  // namespace

Result<std::optional<HttpRequest>> RemovalExchange::Next(const HttpReply* last) {
  if (last == nullptr) return std::optional<HttpRequest>(request_);
  if (last->status == 404) removal_ = Removal::kAbsent;
  return std::optional<HttpRequest>();
}

HttpStore::HttpStore(const HttpStoreOptions& options)
    : context_{options.name, options.http, options.waiter, options.state, SplitMix64(options.seed),
               nullptr} {}

Status HttpStore::GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                            Deadline deadline) {
  return RangeBatch(&context_, this, requests, &sink, deadline).Run();
}

std::unique_ptr<Uploads> HttpStore::NewUploads(const UploadOptions& options) {
  return std::make_unique<HttpUploads>(this, options);
}

Result<Removal> HttpStore::Remove(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckObject(object));
  const std::unique_ptr<RemovalExchange> exchange = NewRemoval(object);
  VDB_RETURN_IF_ERROR(Perform(context_, *exchange, Describe(object), deadline));
  return exchange->removal();
}

Status HttpStore::RemoveAll(std::span<const ObjectRef> objects, const RemovedFunction& removed,
                            int timeout_ms) {
  // The run goes before what it runs.
  struct UnderWay {
    size_t index;
    std::unique_ptr<RemovalExchange> exchange;
    std::unique_ptr<ExchangeRun> run;
  };
  std::vector<UnderWay> flying;
  Status away;
  const auto most = static_cast<size_t>(context_.options.max_connections);
  for (size_t next = 0; next < objects.size() || !flying.empty();) {
    for (; next < objects.size() && flying.size() < most; ++next) {
      const ObjectRef& object = objects[next];
      const Status status = away.ok() ? CheckObject(object) : away;
      if (!status.ok()) {
        removed(next, status);
        continue;
      }
      UnderWay one = {next, NewRemoval(object), nullptr};
      one.run = std::make_unique<ExchangeRun>(&context_, one.exchange.get(), Describe(object),
                                              Deadline::After(timeout_ms));
      flying.push_back(std::move(one));
    }
    const size_t before = flying.size();
    int wait_ms = 1000;
    WaitFor what = WaitFor::kRetry;
    for (size_t i = 0; i < flying.size();) {
      ExchangeRun& run = *flying[i].run;
      if (run.Step()) {
        const UnderWay one = std::move(flying[i]);
        flying.erase(flying.begin() + static_cast<ptrdiff_t>(i));
        if (run.status().code() == Code::kUnavailable) away = run.status();
        removed(one.index, run.status().ok() ? Result<Removal>(one.exchange->removal())
                                             : Result<Removal>(run.status()));
        continue;
      }
      wait_ms = std::min(wait_ms, run.WaitMs());
      if (!run.rests()) what = WaitFor::kAnswer;
      ++i;
    }
    // Others have room now.
    if (flying.size() < before || flying.empty()) continue;
    VDB_ASSIGN_OR_RETURN(HttpDriver * driver, context_.Driver());
    VDB_RETURN_IF_ERROR(driver->Pump(wait_ms, what));
  }
  return {};
}

Result<HttpReply> HttpStore::Ask(HttpRequest request, std::vector<int> expected,
                                 const std::string& object, Deadline deadline) {
  SingleRequest exchange(std::move(request), std::move(expected));
  VDB_RETURN_IF_ERROR(Perform(context_, exchange, object, deadline));
  return std::move(exchange.reply);
}

}  // namespace vdb::store
