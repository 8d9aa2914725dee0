#include "store/http_call.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/strcat.h"
#include "store/content_range.h"
#include "store/http_driver.h"
#include "store/signals_blocked.h"

namespace vdb::store {
namespace {

// The rest of a 200 that is no longer than this is read and thrown away: cheaper than a new
// connection.
constexpr uint64_t kDrainBytes = 64 * 1024;
constexpr size_t kMaxHeaders = 100;
// A refusal is looked at for the few words that say why.
constexpr size_t kRefusalBytes = 4096;

int64_t NowUs() { return NowNs() / 1000; }

HttpError ErrorOf(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpError::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
      return HttpError::kResolve;
    case CURLE_COULDNT_CONNECT:
      return HttpError::kConnect;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return HttpError::kCertificate;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
      return HttpError::kTls;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
      return HttpError::kReset;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpError::kTimeout;
    default:
      return HttpError::kOther;
  }
}

}  // namespace

const char* Describe(HttpError error) {
  switch (error) {
    case HttpError::kNone:
      return "no error";
    case HttpError::kResolve:
      return "could not resolve its host name";
    case HttpError::kConnect:
      return "could not connect";
    case HttpError::kCertificate:
      return "its certificate does not verify";
    case HttpError::kTls:
      return "could not set up TLS";
    case HttpError::kReset:
      return "the connection broke";
    case HttpError::kTimeout:
      return "timed out";
    case HttpError::kWrongRange:
      return "it sent other bytes than those asked for";
    case HttpError::kTooLarge:
      return "it sent too much";
    case HttpError::kDescriptors:
      return "no descriptors are left for connections to it";
    case HttpError::kOther:
      break;
  }
  return "the request failed";
}

std::string_view HttpReply::Header(std::string_view lower_case_name) const {
  // The last one: after an interim reply, that of the final one.
  for (auto header = headers.rbegin(); header != headers.rend(); ++header) {
    if (header->first == lower_case_name) return header->second;
  }
  return {};
}

HttpCall::HttpCall(HttpRequest request, CURLM* multi)
    : request_(std::move(request)), multi_(multi), started_us_(NowUs()) {}

HttpCall::~HttpCall() {
  if (easy_ != nullptr) {
    const SignalsBlocked blocked;
    // Never the other way round: the multi handle would keep a pointer to a handle that is gone.
    curl_multi_remove_handle(multi_, easy_);
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(headers_);
}

template <class Value>
void HttpCall::Set(CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy_, option, value);
  if (set_error_ == CURLE_OK) set_error_ = code;
}

Status HttpCall::SetHeaders() {
  const auto append = [this](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers_, line.c_str());
    if (longer != nullptr) headers_ = longer;
    return longer != nullptr;
  };
  bool appended = true;
  for (const std::string& line : request_.headers) appended = appended && append(line);
  if (request_.bearer_token != nullptr && !request_.bearer_token->empty())
    appended = appended && append("Authorization: Bearer " + *request_.bearer_token);
  if (request_.range) {
    const WantedRange& range = *request_.range;
    appended = appended && append(StrCat("Range: bytes=", range.offset, "-",
                                         range.offset + range.target.size() - 1));
  }
  // Otherwise curl asks for leave to send a long body, and waits a second where none is given. A
  // header that takes one of curl's own away would be signed, though it is not sent; then it stays.
  if (request_.has_body && request_.sign == nullptr) appended = appended && append("Expect:");
  if (!appended) return {Code::kResourceExhausted, "out of memory"};
  Set(CURLOPT_HTTPHEADER, headers_);
  return {};
}

void HttpCall::SetBody() {
  if (!request_.has_body) {
    if (request_.method == "HEAD") Set(CURLOPT_NOBODY, 1L);
    // HEAD as a custom request would wait for a body that never comes.
    if (request_.method != "GET" && request_.method != "HEAD")
      Set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    return;
  }
  Set(CURLOPT_POST, 1L);
  Set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  const size_t bytes = request_.body_head.size() + request_.body.size() + request_.body_tail.size();
  Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(bytes));
  if (bytes == request_.body.size()) {
    // In one piece: curl can hash it for the signature.
    Set(CURLOPT_POSTFIELDS, bytes == 0 ? "" : reinterpret_cast<const char*>(request_.body.data()));
    return;
  }
  Set(CURLOPT_READFUNCTION, &HttpCall::OnRead);
  Set(CURLOPT_READDATA, static_cast<void*>(this));
  Set(CURLOPT_SEEKFUNCTION, &HttpCall::OnSeek);
  Set(CURLOPT_SEEKDATA, static_cast<void*>(this));
}

Status HttpCall::Prepare(const HttpOptions& options, Deadline deadline) {
  easy_ = curl_easy_init();
  if (easy_ == nullptr) return {Code::kResourceExhausted, "out of memory"};
  Set(CURLOPT_PRIVATE, static_cast<void*>(this));
  Set(CURLOPT_URL, request_.url.c_str());
  Set(CURLOPT_NOSIGNAL, 1L);
  // A name that is still being looked up must not hold up the end of a call: the thread that does
  // it is left to itself.
  Set(CURLOPT_QUICK_EXIT, 1L);
  Set(CURLOPT_PROTOCOLS_STR, options.allow_http ? "http,https" : "https");
  // Redirects are followed by hand, where a protocol has them.
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // The server's environment is not where a proxy would be looked for.
  Set(CURLOPT_PROXY, "");
  Set(CURLOPT_USERAGENT, "vdb_ext");
  Set(CURLOPT_TCP_KEEPALIVE, 1L);
  Set(CURLOPT_BUFFERSIZE, 128L * 1024);
  Set(CURLOPT_SSL_VERIFYPEER, options.verify_tls ? 1L : 0L);
  Set(CURLOPT_SSL_VERIFYHOST, options.verify_tls ? 2L : 0L);
  if (!options.ca_file.empty()) Set(CURLOPT_CAINFO, options.ca_file.c_str());
  Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  Set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max(1, deadline.WaitMs(INT_MAX))));
  // Less than a byte a second for so long.
  Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  Set(CURLOPT_LOW_SPEED_TIME, static_cast<long>((options.stall_timeout_ms + 999) / 1000));
  Set(CURLOPT_FRESH_CONNECT, request_.fresh_connection ? 1L : 0L);
  Set(CURLOPT_HEADERFUNCTION, &HttpCall::OnHeader);
  Set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  Set(CURLOPT_WRITEFUNCTION, &HttpCall::OnBody);
  Set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (request_.sign != nullptr) {
    Set(CURLOPT_AWS_SIGV4, request_.sign->scope.c_str());
    Set(CURLOPT_USERNAME, request_.sign->access_key_id.c_str());
    Set(CURLOPT_PASSWORD, request_.sign->secret_access_key.c_str());
  }
  SetBody();
  VDB_RETURN_IF_ERROR(SetHeaders());
  if (set_error_ == CURLE_OUT_OF_MEMORY) return {Code::kResourceExhausted, "out of memory"};
  if (set_error_ != CURLE_OK)
    return Internal(StrCat("could not prepare a request: ", curl_easy_strerror(set_error_)));
  return {};
}

bool HttpCall::Fail(HttpError error, std::string detail) {
  error_ = error;
  error_detail_ = std::move(detail);
  return false;
}

bool HttpCall::IsRange() const {
  return request_.range.has_value() && (reply_.status == 200 || reply_.status == 206);
}

template <class Take>
size_t HttpCall::Taken(size_t bytes, const Take& take) noexcept {
  // No exception may pass curl's frames, and memory may end anywhere.
  try {
    return take() ? bytes : 0;
  } catch (...) {
    error_ = HttpError::kOther;
    return 0;
  }
}

size_t HttpCall::OnHeader(char* data, size_t size, size_t count, void* call) {
  auto* const self = static_cast<HttpCall*>(call);
  return self->Taken(size * count, [&] { return self->TakeHeader({data, size * count}); });
}

bool HttpCall::TakeHeader(std::string_view line) {
  heard_ = true;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    reply_.status = static_cast<int>(status);
    reply_.headers.clear();
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  if (reply_.headers.size() == kMaxHeaders)
    return Fail(HttpError::kTooLarge, "more headers than allowed");
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string_view value = line.substr(colon + 1);
  const size_t begin = std::min(value.find_first_not_of(" \t"), value.size());
  reply_.headers.emplace_back(std::move(name), value.substr(begin));
  return true;
}

size_t HttpCall::OnBody(char* data, size_t size, size_t count, void* call) {
  auto* const self = static_cast<HttpCall*>(call);
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data), size * count);
  return self->Taken(bytes.size(), [&] { return self->TakeBody(bytes); });
}

bool HttpCall::TakeBody(std::span<const uint8_t> bytes) {
  heard_ = true;
  received_bytes_ += bytes.size();
  if (IsRange()) return TakeRange(bytes);
  const size_t cap = reply_.status >= 300 ? kRefusalBytes : request_.max_reply_bytes;
  const size_t taken = std::min(bytes.size(), cap - std::min(cap, reply_.body.size()));
  reply_.body.append(reinterpret_cast<const char*>(bytes.data()), taken);
  if (taken == bytes.size()) return true;
  // The status of a refusal is known already; what more it says is not wanted.
  if (reply_.status >= 300) return !(complete_ = true);
  return Fail(HttpError::kTooLarge, "");
}

bool HttpCall::CheckRange() {
  const WantedRange& range = *request_.range;
  range_checked_ = true;
  if (reply_.status == 200) {
    body_end_ = range.object_bytes;
    // Everything, from the first byte. Its length says whether it is the object.
    curl_off_t length = -1;
    curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0 && static_cast<uint64_t>(length) != range.object_bytes)
      return Fail(HttpError::kWrongRange,
                  StrCat("an object of ", length, " bytes, not ", range.object_bytes));
    return true;
  }
  const std::optional<ContentRange> sent = ParseContentRange(reply_.Header("content-range"));
  if (!sent.has_value()) return Fail(HttpError::kWrongRange, "no valid Content-Range");
  const auto& [first, last, size] = *sent;
  // More than what was asked for is what some servers send, and harmless as long as they say so.
  if (first > range.offset || last < range.offset + range.target.size() - 1 ||
      last >= range.object_bytes)
    return Fail(HttpError::kWrongRange, StrCat("bytes ", first, " to ", last));
  body_at_ = first;
  body_end_ = last + 1;
  if (size.has_value() && *size != range.object_bytes)
    return Fail(HttpError::kWrongRange,
                StrCat("an object of ", *size, " bytes, not ", range.object_bytes));
  return true;
}

bool HttpCall::TakeRange(std::span<const uint8_t> bytes) {
  if (!range_checked_ && !CheckRange()) return false;
  const WantedRange& range = *request_.range;
  const uint64_t end = range.offset + range.target.size();
  const uint64_t from = std::max(body_at_, range.offset);
  const uint64_t to = std::min(body_at_ + bytes.size(), end);
  if (from < to) {
    std::memcpy(range.target.data() + (from - range.offset), bytes.data() + (from - body_at_),
                to - from);
    range_filled_ += to - from;
  }
  body_at_ += bytes.size();
  if (body_at_ <= end) return true;
  if (body_at_ > body_end_)
    return Fail(HttpError::kWrongRange, "more bytes than it said it would send");
  if (body_end_ - body_at_ <= kDrainBytes) return true;
  complete_ = true;
  return false;
}

size_t HttpCall::OnRead(char* data, size_t size, size_t count, void* call) {
  HttpCall& self = *static_cast<HttpCall*>(call);
  const HttpRequest& request = self.request_;
  const std::span<const char> pieces[] = {
      request.body_head,
      {reinterpret_cast<const char*>(request.body.data()), request.body.size()},
      request.body_tail};
  uint64_t at = self.sent_;
  for (const auto& piece : pieces) {
    if (at >= piece.size()) {
      at -= piece.size();
      continue;
    }
    const size_t bytes = std::min<size_t>(size * count, piece.size() - at);
    std::memcpy(data, piece.data() + at, bytes);
    self.sent_ += bytes;
    return bytes;
  }
  return 0;
}

int HttpCall::OnSeek(void* call, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<HttpCall*>(call)->sent_ = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

void HttpCall::Finish(CURLcode code, bool no_descriptor) {
  done_ = true;
  finished_us_ = NowUs();
  long connects = 0;
  curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &connects);
  reused_connection_ = connects == 0;
  if (error_ != HttpError::kNone) return;
  if (!complete_ && code != CURLE_OK) {
    // Curl's own text of the error may repeat what the server sent; its text for the code does not.
    HttpError error = ErrorOf(code);
    if (error == HttpError::kConnect && no_descriptor) error = HttpError::kDescriptors;
    Fail(error, curl_easy_strerror(code));
    return;
  }
  if (!request_.range.has_value() || reply_.status < 200 || reply_.status >= 300) return;
  if (!IsRange()) {
    Fail(HttpError::kWrongRange, StrCat("HTTP ", reply_.status));
    return;
  }
  if (!range_checked_ && !CheckRange()) return;
  if (range_filled_ != request_.range->target.size())
    Fail(HttpError::kReset, "the body is too short");
}

}  // namespace vdb::store
