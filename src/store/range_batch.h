/// RangeBatch: one GetRanges over HTTP: many requests at a time, with retries, redirects, hedges
/// and second fetches.
///
/// A hedge is a second request for the same bytes, sent when the first has taken longer than 19 in
/// 20 do; whichever answers first is taken. There are at most five for a hundred requests, so that
/// a store which has become slow as a whole is not asked twice as much.
///
/// Where a store sends readers elsewhere, it is for the store to say where, and whether it is there
/// at all: what goes wrong at a place that is remembered has the store asked again, in time, and
/// what another host answers, or does not, tells the breaker nothing.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "store/http_context.h"
#include "store/redirects.h"
#include "store/retry.h"

namespace vdb::store {

/// How a store wants to be asked for bytes.
class RangeSource {
 public:
  virtual ~RangeSource() = default;
  /// A request for the object; the batch adds the range. Errors are final.
  virtual Result<HttpRequest> GetRequest(const ObjectRef& object) = 0;
  /// Of a store that sends readers elsewhere; null: it does not.
  virtual Redirects* redirects() { return nullptr; }
};

class RangeBatch {
 public:
  /// hedges: whether to send any. Where nobody waits for the bytes, they only take room from
  /// others.
  RangeBatch(HttpContext* context, RangeSource* source, std::span<const RangeRequest> requests,
             RangeSink* sink, Deadline deadline, bool hedges = true);

  /// All of it. Errors: as GetRanges.
  Status Run();

  /// Goes on as far as it can without waiting. True when it has ended: see status(). What it waits
  /// for is moved along by HttpDriver::Pump.
  bool Step();
  const Status& status() const { return status_; }
  /// How long nothing can happen but by the network, in ms.
  int WaitMs() const;
  /// Whether it only waits before another try.
  bool rests() const { return flying_.empty(); }

 private:
  struct Fetch {
    size_t index;  // of the request
    Tries tries;
    std::unique_ptr<HttpCall> call = {}, hedge = {};
    std::vector<uint8_t> hedge_target = {};
    int64_t ready_ms = 0;
    int64_t started_ms = 0;
    Deadline call_deadline = Deadline::Never();
    bool hedged = false;
    bool refetched = false;
    int redirects = 0;
    std::string redirected_to = {};  // where the bytes are, if not where they were asked for
    bool other_host = false;         // which is not to see the token
    bool remembered = false;         // where they were: the store has not been asked now
    bool asked = false;              // it is to be asked, whatever is remembered
  };

  const ObjectRef& ObjectOf(const Fetch& fetch) const { return *requests_[fetch.index].object; }
  Status Error(const Fetch& fetch, Code code, std::string_view what) const;
  /// When time is up: one that the store itself has not answered, if there is one.
  const Fetch& SlowestFetch() const;
  Result<HttpRequest> RequestOf(const Fetch& fetch, std::span<uint8_t> target);
  Status Begin();
  /// As Step; true when all is there.
  Result<bool> Advance();
  Status Land();
  Status StartMore();
  Status Start(Fetch& fetch);
  /// Goes where the bytes were the last time, if that is known.
  void Recall(Fetch& fetch);
  /// Does not go there again.
  void AskAgain(Fetch& fetch);
  /// The same without a wait, and as the first try: the last one did not go to the store.
  void AskAtOnce(Fetch& fetch);
  Status StartHedges();
  int64_t HedgeAfterMs() const;
  /// Handles what has come for a fetch that is under way. True when it is no longer.
  Result<bool> Handle(Fetch& fetch);
  Status Arrived(Fetch& fetch);
  Status FetchAgain(Fetch& fetch, const std::string& why);
  Status Redirect(Fetch& fetch, const HttpReply& reply);

  HttpContext* context_;
  RangeSource* source_;
  std::span<const RangeRequest> requests_;
  RangeSink* sink_;
  Deadline deadline_;
  bool hedges_;
  Permission permission_;
  HttpDriver* driver_ = nullptr;  // null: it has not begun
  std::deque<Fetch> fetches_;
  std::deque<Fetch*> waiting_;
  std::vector<Fetch*> flying_;
  size_t left_;
  bool ended_ = false;
  Status status_;
};

}  // namespace vdb::store
