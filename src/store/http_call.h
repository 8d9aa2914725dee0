/// HttpCall: one request on its way, and its reply. Owns curl's easy handle; dropping it gives the
/// request up.
#pragma once

#include <curl/curl.h>

#include <string>

#include "base/status.h"
#include "store/http_request.h"

namespace vdb::store {

struct HttpOptions;

class HttpCall {
 public:
  HttpCall(const HttpCall&) = delete;
  HttpCall& operator=(const HttpCall&) = delete;
  ~HttpCall();

  bool done() const { return done_; }
  /// Of a call that is done. kNone: reply() is the server's.
  HttpError error() const { return error_; }
  /// More about the error, for a DETAIL. Holds no part of the request.
  const std::string& error_detail() const { return error_detail_; }
  const HttpReply& reply() const { return reply_; }
  /// Whether it went over a connection that was there already.
  bool reused_connection() const { return reused_connection_; }
  /// Whether the server has sent a single byte.
  bool heard() const { return heard_; }
  uint64_t received_bytes() const { return received_bytes_; }
  int64_t started_us() const { return started_us_; }
  int64_t finished_us() const { return finished_us_; }

 private:
  friend class HttpDriver;

  HttpCall(HttpRequest request, CURLM* multi);
  /// Sets the easy handle up. Errors: kResourceExhausted, kInternal.
  Status Prepare(const HttpOptions& options, Deadline deadline);
  /// no_descriptor: one was asked for in vain since the call began.
  void Finish(CURLcode code, bool no_descriptor);

  template <class Value>
  void Set(CURLoption option, Value value);
  void SetBody();
  Status SetHeaders();

  /// What a callback that takes `bytes` answers.
  template <class Take>
  size_t Taken(size_t bytes, const Take& take) noexcept;
  static size_t OnHeader(char* data, size_t size, size_t count, void* call);
  static size_t OnBody(char* data, size_t size, size_t count, void* call);
  static size_t OnRead(char* data, size_t size, size_t count, void* call);
  static int OnSeek(void* call, curl_off_t offset, int origin);
  bool TakeHeader(std::string_view line);
  bool TakeBody(std::span<const uint8_t> bytes);
  bool TakeRange(std::span<const uint8_t> bytes);
  /// Before the first byte of a stretch: whether it is the one that was asked for.
  bool CheckRange();
  bool Fail(HttpError error, std::string detail);
  bool IsRange() const;

  HttpRequest request_;
  CURLM* multi_;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  CURLcode set_error_ = CURLE_OK;

  HttpReply reply_;
  bool done_ = false;
  bool complete_ = false;  // has all it wanted; the rest of the body was refused
  bool range_checked_ = false;
  bool heard_ = false;
  bool reused_connection_ = false;
  uint64_t sent_ = 0;      // of head, body and tail
  uint64_t body_at_ = 0;   // where in the reply's body the next byte is
  uint64_t body_end_ = 0;  // of ranges: where the reply's body ends, by what it says
  uint64_t range_filled_ = 0;
  uint64_t received_bytes_ = 0;
  int64_t started_us_ = 0;
  int64_t finished_us_ = 0;
  HttpError error_ = HttpError::kNone;
  std::string error_detail_;
};

}  // namespace vdb::store
