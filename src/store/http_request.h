/// HttpRequest and HttpReply: what is asked of a server and what it answered.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/deadline.h"

namespace vdb::store {

/// Who signs a request by AWS Signature Version 4.
struct SigV4 {
  std::string scope;  // as CURLOPT_AWS_SIGV4 wants it: aws:amz:region:s3
  std::string access_key_id;
  std::string secret_access_key;
};

/// The stretch of an object that a request is for.
struct WantedRange {
  uint64_t offset = 0;
  std::span<uint8_t> target;
  uint64_t object_bytes = 0;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  /// Sent as the body, one after the other, when there is one. `body` and what the pointers below
  /// point to stay where they are until the call is gone; they are not copied.
  bool has_body = false;
  std::string body_head;
  std::span<const uint8_t> body;
  std::string body_tail;
  const std::string* bearer_token = nullptr;  // not sent where it is empty
  const SigV4* sign = nullptr;                // needs body_head and body_tail to be empty
  /// When set, bytes of this stretch go into its target; the Range header is added.
  std::optional<WantedRange> range;
  /// Not over a connection that was used before.
  bool fresh_connection = false;
  /// Longer bodies of replies are an error; of ranges: what is not wanted does not count.
  size_t max_reply_bytes = size_t{1} << 20;
};

/// Why there is no reply.
enum class HttpError : uint8_t {
  kNone,
  kResolve,      // no address for the host's name
  kConnect,      // nobody there, or no time
  kCertificate,  // TLS: the server is not who it should be
  kTls,          // TLS: anything else
  kReset,        // the connection broke, or the body ended too early
  kTimeout,
  kWrongRange,   // not the stretch, or not the object, that was asked for
  kTooLarge,     // a longer body than allowed
  kDescriptors,  // this process may open no more
  kOther,
};
inline constexpr size_t kHttpErrors = static_cast<size_t>(HttpError::kOther) + 1;

/// What messages say of an error.
const char* Describe(HttpError error);

struct HttpReply {
  int status = 0;
  std::string body;                                          // not of ranges
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  /// The value of a header, empty when there is none.
  std::string_view Header(std::string_view lower_case_name) const;
};

}  // namespace vdb::store
