/// Exchange: an operation as a sequence of requests, each of which follows from the reply to the
/// one before; and ExchangeRun, which carries it out, with retries, without ever waiting.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/http_context.h"
#include "store/retry.h"

namespace vdb::store {

class Exchange {
 public:
  virtual ~Exchange() = default;
  /// The next request, `last` being the reply to the one before (null at first); nothing when all
  /// is done. What a request points to lives as long as the exchange. Errors are final.
  virtual Result<std::optional<HttpRequest>> Next(const HttpReply* last) = 0;
  /// Whether a reply that is no success is one for Next all the same, and neither tried again nor
  /// an error.
  virtual bool Expects(const HttpReply& /*reply*/) const { return false; }
  /// After a failure: a request that takes back what has been done, sent once, whatever comes of
  /// it.
  virtual std::optional<HttpRequest> Undo() { return std::nullopt; }
};

class ExchangeRun {
 public:
  /// `object` is for messages. `context` and `exchange` outlive the run.
  ExchangeRun(HttpContext* context, Exchange* exchange, std::string object, Deadline deadline)
      : context_(context),
        exchange_(exchange),
        object_(std::move(object)),
        deadline_(deadline),
        permission_(context),
        tries_(&context->random) {}

  /// Goes on as far as it can. True when it has ended: see status().
  bool Step();
  const Status& status() const { return status_; }
  /// How long nothing can happen but by the network, in ms.
  int WaitMs() const;
  /// Whether it only waits before another try.
  bool rests() const { return call_ == nullptr; }

 private:
  Status Begin();
  Status Judged();
  Status Fail(const Verdict& verdict);
  /// After the end of the exchange: true when nothing is left to undo.
  bool Undo();

  HttpContext* context_;
  Exchange* exchange_;
  std::string object_;
  Deadline deadline_;
  Permission permission_;
  Tries tries_;
  std::optional<HttpRequest> request_;
  std::unique_ptr<HttpCall> call_;
  int64_t ready_ms_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  bool undoing_ = false;
  Status status_;
};

/// Carries an exchange out. Errors: as ObjectStore.
Status Perform(HttpContext& context, Exchange& exchange, std::string object, Deadline deadline);

}  // namespace vdb::store
