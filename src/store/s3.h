/// S3Store: objects in a bucket of anything that speaks S3.
///
/// Requests are signed by libcurl. Debian's 7.88 takes path and query as they stand, so they come
/// escaped and sorted; it neither adds nor asks for `x-amz-content-sha256`, which S3 wants, so that
/// is a header of ours, signed as all headers are.
///
/// Records lie under `.records/`. Their revision is the ETag, and a write is conditional on it:
/// the service must know If-Match and If-None-Match for PUT.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/http_store.h"

namespace vdb::store {

struct S3Options {
  HttpStoreOptions store;
  std::string endpoint;  // CheckBaseUrl
  std::string bucket;
  std::string prefix;  // of names; a directory's ends with a slash
  std::string region = "us-east-1";
  bool path_style = false;  // the bucket in the path, not before the host's name
  std::string access_key_id, secret_access_key, session_token;
  /// SHA-256, which this layer does not have. Without it bodies are sent unsigned.
  std::function<Digest(std::span<const uint8_t>)> sha256;
  uint64_t multipart_bytes = 16 << 20;  // larger objects go in parts
  uint64_t part_bytes = 8 << 20;        // S3 takes 5 MiB and more
};

class S3Store : public HttpStore {
 public:
  /// Errors: kInvalidArgument for a bucket, prefix or region that cannot be one.
  static Result<std::unique_ptr<S3Store>> Make(S3Options options);

  Capabilities capabilities() const override;
  Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) override;
  Status List(std::string_view prefix, const std::function<Status(const ListedObject&)>& found,
              Deadline deadline) override;
  Result<std::vector<UnfinishedUpload>> ListUnfinished(std::string_view prefix,
                                                       Deadline deadline) override;
  Status GiveUp(const UnfinishedUpload& upload, Deadline deadline) override;
  Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) override;
  Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                 std::span<const uint8_t> value,
                                                 const std::optional<std::string>& expected,
                                                 Deadline deadline) override;

 protected:
  Result<HttpRequest> GetRequest(const ObjectRef& object) override;
  std::unique_ptr<Exchange> NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) override;
  std::unique_ptr<RemovalExchange> NewRemoval(const ObjectRef& object) override;
  Status CheckObject(const ObjectRef& ref) const override;

 private:
  friend class S3Upload;

  S3Store(S3Options options, std::string url);
  /// A signed request for `key`, below the prefix. `query` is escaped and sorted.
  HttpRequest Request(const char* method, std::string_view key, std::string_view query = {},
                      std::span<const uint8_t> body = {}) const;
  Result<std::string> ListPage(std::string_view query, std::vector<ListedObject>* found,
                               Deadline deadline);
  /// Appends to `found`; returns the query for what comes next, empty when that was all.
  Result<std::string> UnfinishedPage(std::string_view prefix, std::string_view after,
                                     std::vector<UnfinishedUpload>* found, Deadline deadline);

  S3Options options_;
  std::string url_;  // of the bucket, with a slash
  SigV4 sign_;
};

}  // namespace vdb::store
