/// As much of S3 as the store uses, in this process. Checks every signature by arithmetic of its
/// own.
#pragma once

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "store/s3.h"
#include "unit/store_fixtures.h"
#include "unit/store_http_server.h"

namespace vdb::store {

class S3Server {
 public:
  FaultHook fault;
  std::string session_token;
  size_t page = 1000;  // objects in a list
  int parts = 0, aborted = 0;
  std::atomic<int> hosted_requests{0}, path_requests{0};

  std::string Url() const { return server_.Url(); }
  /// Below which each bucket has a name of its own, that resolves without a name server.
  std::string LocalhostUrl() const { return "http://localhost:" + std::to_string(server_.port()); }
  int requests() const { return server_.requests(); }
  size_t objects() const { return objects_.size(); }

 private:
  static std::string Hex(const unsigned char* bytes, size_t size) {
    std::string hex;
    for (size_t i = 0; i < size; ++i) {
      char digits[3];
      std::snprintf(digits, sizeof(digits), "%02x", bytes[i]);
      hex += digits;
    }
    return hex;
  }
  static std::string Sha(const std::string& text) {
    unsigned char hash[32];
    crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return Hex(hash, 32);
  }
  static std::string Hmac(const std::string& key, const std::string& text) {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()),
                                key.size());
    crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()),
                                  text.size());
    std::string tag(32, 0);
    crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(tag.data()));
    return tag;
  }
  static std::vector<std::string> Split(const std::string& text, char separator) {
    std::vector<std::string> pieces;
    std::istringstream stream(text);
    for (std::string piece; std::getline(stream, piece, separator);) pieces.push_back(piece);
    return pieces;
  }
  static std::string Between(const std::string& text, const std::string& from, char to) {
    const size_t at = text.find(from);
    if (at == std::string::npos) return "";
    const size_t begin = at + from.size();
    return text.substr(begin, std::min(text.find(to, begin), text.size()) - begin);
  }

  /// Empty, or what is wrong.
  std::string CheckSignature(const ServerRequest& request) const {
    const std::string authorization = request.Header("authorization");
    const std::string scope = Between(authorization, "Credential=AKID/", ',');
    const std::string names = Between(authorization, "SignedHeaders=", ',');
    const std::string date = request.Header("x-amz-date");
    if (scope != date.substr(0, 8) + "/eu-test-1/s3/aws4_request")
      return "AuthorizationHeaderMalformed";
    const std::string hash = request.Header("x-amz-content-sha256");
    if (hash != "UNSIGNED-PAYLOAD" && hash != Sha(request.body)) return "XAmzContentSHA256Mismatch";
    if (request.Header("x-amz-security-token") != session_token) return "InvalidToken";
    std::string canonical_headers;
    const std::vector<std::string> signed_names = Split(names, ';');
    for (const std::string& name : signed_names)
      canonical_headers += name + ":" + request.Header(name) + "\n";
    for (const auto& [name, value] : request.headers) {
      const bool must = name == "host" || name.starts_with("x-amz-");
      if (must && std::find(signed_names.begin(), signed_names.end(), name) == signed_names.end())
        return "NotSigned";
    }
    std::vector<std::string> query = Split(request.Query(), '&');
    std::sort(query.begin(), query.end());
    std::string canonical_query;
    for (const std::string& piece : query)
      canonical_query += (canonical_query.empty() ? "" : "&") + piece;
    const std::string canonical = request.method + "\n" + request.Path() + "\n" + canonical_query +
                                  "\n" + canonical_headers + "\n" + names + "\n" + hash;
    std::string key = "AWS4s/e+cret";
    for (const std::string& piece : {date.substr(0, 8), std::string("eu-test-1"), std::string("s3"),
                                     std::string("aws4_request")})
      key = Hmac(key, piece);
    const std::string tag =
        Hmac(key, "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + Sha(canonical));
    const std::string expected =
        Hex(reinterpret_cast<const unsigned char*>(tag.data()), tag.size());
    return Between(authorization, "Signature=", ' ') == expected ? "" : "SignatureDoesNotMatch";
  }

  static ServerReply Error(int status, const std::string& code) {
    return {.status = status,
            .body = "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code></Error>"};
  }

  ServerReply Handle(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    if (std::optional<ServerReply> reply = fault.Ask(request)) return *reply;
    if (const std::string wrong = CheckSignature(request); !wrong.empty()) return Error(403, wrong);
    // In the path, or in the host's name.
    const bool hosted = request.Header("host").starts_with("bucket.localhost:");
    const std::string bucket = hosted ? "/" : "/bucket/";
    ++(hosted ? hosted_requests : path_requests);
    if (!request.target.starts_with(bucket)) return Error(404, "NoSuchBucket");
    const std::string key = request.Path().substr(bucket.size());
    const std::string query = request.Query();
    if (key.empty()) return query.ends_with("uploads=") ? ListUploads(query) : List(query);
    if (query == "uploads=") return Create(key);
    if (!query.empty()) return OfUpload(request, key);
    if (request.method == "PUT") return Put(request, key);
    const auto found = objects_.find(key);
    if (request.method == "DELETE") {
      if (found != objects_.end()) objects_.erase(found);
      return {.status = 204};
    }
    if (found == objects_.end()) {
      ServerReply reply = Error(404, "NoSuchKey");
      reply.no_body = request.method == "HEAD";
      return reply;
    }
    ServerReply reply = RangeReply(request, found->second);
    reply.headers.push_back("ETag: " + ETag(found->second));
    return reply;
  }

  static std::string ETag(const std::string& bytes) {
    return "\"" + Sha(bytes).substr(0, 32) + "\"";
  }

  ServerReply Put(const ServerRequest& request, const std::string& key) {
    const auto found = objects_.find(key);
    const bool exists = found != objects_.end();
    if (exists && request.Header("if-none-match") == "*") return Error(412, "PreconditionFailed");
    const std::string match = request.Header("if-match");
    if (!match.empty() && !exists) return Error(404, "NoSuchKey");
    if (!match.empty() && match != ETag(found->second)) return Error(412, "PreconditionFailed");
    objects_[key] = request.body;
    return {.headers = {"ETag: " + ETag(request.body)}};
  }

  ServerReply Create(const std::string& key) {
    const std::string id = "id/" + std::to_string(++uploads_made_) + "+=";
    uploads_[id] = key;
    return {.body = "<InitiateMultipartUploadResult xmlns=\"x\"><UploadId>" + id +
                    "</UploadId></InitiateMultipartUploadResult>"};
  }

  /// A value of a query; empty when there is none.
  static std::string Value(const std::string& query, const std::string& name) {
    std::string value = Between("&" + query, "&" + name + "=", '&');
    for (const auto& [escaped, c] :
         {std::pair("%2F", "/"), std::pair("%2B", "+"), std::pair("%3D", "=")}) {
      for (size_t at; (at = value.find(escaped)) != std::string::npos;) value.replace(at, 3, c);
    }
    return value;
  }

  ServerReply OfUpload(const ServerRequest& request, const std::string& key) {
    const std::string id = Value(request.Query(), "uploadId");
    if (!uploads_.contains(id) || uploads_[id] != key) return Error(404, "NoSuchUpload");
    if (request.method == "PUT") {
      ++parts;
      pieces_[id][std::stoi(Between(request.Query(), "partNumber=", '&'))] = request.body;
      return {.headers = {"ETag: " + ETag(request.body)}};
    }
    uploads_.erase(id);
    if (request.method == "DELETE") return ++aborted, ServerReply{.status = 204};
    std::string all;
    for (const auto& [number, piece] : pieces_[id]) {
      const std::string tag = ETag(piece).substr(1, 32);
      EXPECT_NE(request.body.find(tag), std::string::npos);
      all += piece;
    }
    objects_[key] = all;
    return {.body = "<CompleteMultipartUploadResult><ETag>&quot;" + ETag(all).substr(1, 32) +
                    "&quot;</ETag></CompleteMultipartUploadResult>"};
  }

  ServerReply ListUploads(const std::string& query) {
    // S3 sorts them by key.
    std::set<std::pair<std::string, std::string>> sorted;
    for (const auto& [id, key] : uploads_) sorted.emplace(key, id);
    const std::pair after(Value(query, "key-marker"), Value(query, "upload-id-marker"));
    std::string body = "<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult>";
    size_t count = 0;
    bool truncated = false;
    std::pair<std::string, std::string> last;
    for (const auto& upload : sorted) {
      if (!upload.first.starts_with(Value(query, "prefix")) || upload <= after) continue;
      if ((truncated = count++ == page)) break;
      last = upload;
      body += "<Upload><Key>" + upload.first + "</Key><UploadId>" + upload.second +
              "</UploadId><Initiated>2026-11-22T14:00:00.000Z</Initiated></Upload>";
    }
    body += std::string("<IsTruncated>") + (truncated ? "true" : "false") + "</IsTruncated>";
    if (truncated) {
      body += "<NextKeyMarker>" + last.first + "</NextKeyMarker><NextUploadIdMarker>" +
              last.second + "</NextUploadIdMarker>";
    }
    return {.body = body + "</ListMultipartUploadsResult>"};
  }

  ServerReply List(const std::string& query) {
    const std::string prefix = Value(query, "prefix");
    const std::string after = Between(query, "continuation-token=", '&');
    std::string body = "<?xml version=\"1.0\"?>\n<ListBucketResult><Name>bucket</Name>", last;
    size_t count = 0;
    bool truncated = false;
    for (const auto& [key, bytes] : objects_) {
      if (!key.starts_with(prefix)) continue;
      std::string token = Hex(reinterpret_cast<const unsigned char*>(key.data()), key.size());
      if (!after.empty() && token <= after) continue;
      if (count++ == page) {
        truncated = true;
        break;
      }
      last = token;
      body +=
          "<Contents><Key>" + key + "</Key><LastModified>2026-11-22T14:00:00.000Z</LastModified>" +
          "<ETag>&quot;x&quot;</ETag><Size>" + std::to_string(bytes.size()) + "</Size></Contents>";
    }
    body += std::string("<IsTruncated>") + (truncated ? "true" : "false") + "</IsTruncated>";
    if (truncated) body += "<NextContinuationToken>" + last + "</NextContinuationToken>";
    return {.body = body + "</ListBucketResult>"};
  }

  std::mutex mutex_;
  std::map<std::string, std::string> objects_;
  std::map<std::string, std::string> uploads_;
  std::map<std::string, std::map<int, std::string>> pieces_;
  int uploads_made_ = 0;
  HttpServer server_{[this](const ServerRequest& request) { return Handle(request); }};
};

class S3Fixture : public StoreFixture {
 public:
  S3Fixture() {
    options.store.name = "s3";
    options.store.waiter = &waiter;
    options.store.state = state.get();
    options.endpoint = server.Url();
    options.bucket = "bucket";
    options.prefix = "some/prefix/";
    options.region = "eu-test-1";
    options.path_style = true;
    options.access_key_id = "AKID";
    options.secret_access_key = "s/e+cret";
    options.sha256 = [](std::span<const uint8_t> bytes) { return crypto::Sha256(bytes); };
    options.multipart_bytes = 3'000'000;
    options.part_bytes = 2'000'000;
  }
  ObjectStore& store() override {
    if (store_ == nullptr) {
      auto made = S3Store::Make(options);
      EXPECT_TRUE(made.ok()) << made.status().message();
      store_ = std::move(made).value();
    }
    return *store_;
  }
  /// Before the first use of store().
  S3Options options;
  S3Server server;
  const std::unique_ptr<StoreState> state = std::make_unique<StoreState>();

 private:
  std::unique_ptr<S3Store> store_;
};

/// The bucket in the host's name, which is the default.
class S3HostedFixture : public S3Fixture {
 public:
  S3HostedFixture() {
    options.endpoint = server.LocalhostUrl();
    options.path_style = false;
  }
};

}  // namespace vdb::store
