#include "store/retry.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>

#include "base/strcat.h"

namespace vdb::store {
namespace {

// A server may ask for more patience than anyone has.
constexpr int kLongestRetryAfterMs = 5000;

int RetryAfterMs(const HttpReply& reply) {
  const std::string_view text = reply.Header("retry-after");
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  // A date is the other form; nobody's clocks are that good.
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return 0;
  return std::min(seconds, kLongestRetryAfterMs / 1000) * 1000;
}

Verdict OfError(const HttpCall& call) {
  Verdict verdict{Verdict::Kind::kRetry, Code::kUnavailable, Describe(call.error()), true};
  if (!call.error_detail().empty()) verdict.what += ": " + call.error_detail();
  switch (call.error()) {
    case HttpError::kReset:
      if (call.reused_connection() && !call.heard()) verdict.kind = Verdict::Kind::kRetryAtOnce;
      break;
    case HttpError::kCertificate:
      // It answers, and will be no other in a moment.
      verdict.kind = Verdict::Kind::kRefused;
      verdict.outage = false;
      break;
    case HttpError::kWrongRange:
    case HttpError::kTooLarge:
      verdict.kind = Verdict::Kind::kRefused;
      verdict.code = Code::kCorruption;
      verdict.outage = false;
      break;
    case HttpError::kTimeout:
      verdict.timed_out = true;
      break;
    case HttpError::kDescriptors:
      verdict.code = Code::kResourceExhausted;
      verdict.outage = false;
      break;
    case HttpError::kOther:
      verdict.kind = Verdict::Kind::kRefused;
      verdict.outage = false;
      break;
    default:
      break;
  }
  return verdict;
}

/// The word that S3 has for an error; empty when there is none. Nothing else of a body is repeated:
/// it may hold what was sent.
std::string_view ErrorCode(std::string_view body) {
  constexpr std::string_view kTag = "<Code>";
  const size_t at = body.find(kTag);
  if (at == std::string_view::npos) return {};
  const std::string_view code = body.substr(at + kTag.size());
  const size_t end = code.find('<');
  const bool is_word =
      end <= 64 && std::all_of(code.begin(), code.begin() + static_cast<ptrdiff_t>(end),
                               [](unsigned char c) { return std::isalnum(c) != 0; });
  return is_word ? code.substr(0, end) : std::string_view();
}

Refusal RefusalOf(int status) {
  switch (status) {
    case 401:
    case 403:
      return Refusal::kAuthorization;
    case 404:
    case 410:
      return Refusal::kMissing;
    case 409:
    case 412:
      return Refusal::kConflict;
    case 413:
      return Refusal::kTooLarge;
    case 429:
      return Refusal::kTooMany;
    default:
      return status >= 500 ? Refusal::kServer : Refusal::kOther;
  }
}

Verdict OfStatus(const HttpReply& reply, Refusal refusal) {
  Verdict verdict{Verdict::Kind::kRefused, Code::kUnavailable, {}};
  const char* what = "refused";
  switch (refusal) {
    case Refusal::kAuthorization:
      verdict.code = Code::kPermission;
      what = "access denied";
      break;
    case Refusal::kMissing:
      verdict.code = Code::kNotFound;
      what = "there is no such object";
      break;
    case Refusal::kConflict:
      verdict.code = Code::kRefused;
      what = "in conflict with another request";
      break;
    case Refusal::kTooLarge:
      verdict.code = Code::kUnsupported;
      what = "too large for the store";
      break;
    case Refusal::kTooMany:
      verdict.kind = Verdict::Kind::kRetry;
      what = "too many requests";
      break;
    case Refusal::kServer:
      // 501 and 505 are there to stay.
      if (reply.status != 501 && reply.status != 505) verdict.kind = Verdict::Kind::kRetry;
      verdict.outage = verdict.kind == Verdict::Kind::kRetry;
      what = "cannot answer now";
      break;
    case Refusal::kOther:
      if (reply.status == 408 || reply.status == 425) {
        verdict.kind = Verdict::Kind::kRetry;
      } else {
        verdict.code = Code::kRefused;
      }
      if (reply.status == 416) {
        verdict.code = Code::kCorruption;
        what = "the object is shorter than it should be";
      }
      break;
  }
  if (verdict.kind == Verdict::Kind::kRetry) verdict.retry_after_ms = RetryAfterMs(reply);
  const std::string_view code = ErrorCode(reply.body);
  if (code == "NoSuchBucket") what = "there is no such bucket";
  verdict.what = StrCat(what, " (HTTP ", reply.status, code.empty() ? "" : ", ", code, ")");
  return verdict;
}

}  // namespace

Verdict Judge(const HttpCall& call, const HttpContext& context, bool expected) {
  StoreState& state = *context.state;
  Count(state.requests);
  Count(state.received_bytes, call.received_bytes());
  if (call.error() != HttpError::kNone) {
    Count(state.errors[static_cast<size_t>(call.error())]);
    return OfError(call);
  }
  const int status = call.reply().status;
  if (status >= 200 && status < 300) return {};
  const Refusal refusal = RefusalOf(status);
  if (!expected) Count(state.refusals[static_cast<size_t>(refusal)]);
  Verdict verdict = OfStatus(call.reply(), refusal);
  if (context.reread != nullptr) context.reread(call.reply(), verdict);
  return verdict;
}

std::optional<int> Tries::Next(const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::kRetryAtOnce && !at_once_used_) {
    at_once_used_ = true;
    return 0;
  }
  const bool may_help =
      verdict.kind == Verdict::Kind::kRetry || verdict.kind == Verdict::Kind::kRetryAtOnce;
  if (!may_help || retries_ == std::size(kRetryDelaysMs)) return std::nullopt;
  // Between half and one and a half times: those who failed together do not come back together.
  const int delay = kRetryDelaysMs[retries_++];
  const int varied = delay / 2 + static_cast<int>(random_->Below(static_cast<uint64_t>(delay) + 1));
  return std::max(varied, verdict.retry_after_ms);
}

}  // namespace vdb::store
