/// What to do after a request: take its answer, try again, or give up.
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "base/status.h"
#include "store/http_call.h"
#include "store/http_context.h"

namespace vdb::store {

/// The times to wait before the first, second and third retry, in ms; each is varied by half.
inline constexpr int kRetryDelaysMs[] = {100, 200, 400};

/// What an outcome means.
struct Verdict {
  enum class Kind : uint8_t {
    kAnswer,      // the reply is a success (2xx)
    kRefused,     // it is a refusal that another try would not change
    kRetry,       // another try may help
    kRetryAtOnce  // a kept connection had been closed: the server has not seen the request
  };
  Kind kind = Kind::kAnswer;
  Code code = Code::kOk;
  std::string what;     // what went wrong, for a message
  bool outage = false;  // the store does not answer: for the breaker
  bool timed_out = false;
  int retry_after_ms = 0;  // that the server asked for
};

/// Looks at a call that is done, and counts it: as an error where it failed, or where the store
/// refused, unless that was an `expected` answer.
Verdict Judge(const HttpCall& call, const HttpContext& context, bool expected = false);

/// The tries of one request.
class Tries {
 public:
  explicit Tries(SplitMix64* random) : random_(random) {}

  /// After `verdict`: the time to wait before the next try, in ms; nothing when there is none.
  std::optional<int> Next(const Verdict& verdict);
  /// Every try since has gone well: what comes has all its retries again.
  void Reset() { retries_ = 0; }

 private:
  SplitMix64* random_;
  size_t retries_ = 0;
  bool at_once_used_ = false;
};

}  // namespace vdb::store
