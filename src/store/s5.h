/// S5Store: objects as plain blobs of an S5 node, in the HTTP dialect of the Dart node, which the
/// public portals run.
///
/// Blobs are named by hash and size: the name of an ObjectRef plays no part but in messages. The
/// node cannot list. Records are entries of its registry, each under a key pair of its own; their
/// revision is the entry's. The registry replaces an entry by any with a larger revision, and two
/// writers that take the same one are told apart by the node: the second is refused.
#pragma once

#include <string>
#include <vector>

#include "store/cid.h"
#include "store/http_store.h"
#include "store/registry.h"

namespace vdb::store {

struct S5Options {
  HttpStoreOptions store;
  std::string url;  // CheckBaseUrl
  std::string auth_token;
  /// The keys of records; without them there are none.
  RegistryKeys* keys = nullptr;
  /// Where bytes are asked for: of the node itself, or of the location that it names.
  bool redirect = false;
  /// Pin every object; otherwise only those that the node had already, from somebody else.
  bool pin = false;
  /// Of one request: larger objects go by tus, in pieces of so many. A node takes 34,000,000 bytes
  /// at once unless it is told otherwise.
  uint64_t max_upload_bytes = 16 << 20;
};

class S5Store : public HttpStore {
 public:
  /// Errors: kInvalidArgument for a URL that is none, or a token that does not fit a header.
  static Result<std::unique_ptr<S5Store>> Make(S5Options options);

  Capabilities capabilities() const override;
  Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) override;
  Status List(std::string_view prefix, const std::function<Status(const ListedObject&)>& found,
              Deadline deadline) override;
  Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) override;
  Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                 std::span<const uint8_t> value,
                                                 const std::optional<std::string>& expected,
                                                 Deadline deadline) override;

  Result<std::string> Version(Deadline deadline) override;

 protected:
  Result<HttpRequest> GetRequest(const ObjectRef& object) override;
  Redirects* redirects() override { return &redirects_; }
  std::unique_ptr<Exchange> NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) override;
  std::unique_ptr<RemovalExchange> NewRemoval(const ObjectRef& object) override;
  Status CheckObject(const ObjectRef& ref) const override;

 private:
  friend class S5Upload;

  S5Store(S5Options options, std::string url);
  HttpRequest Request(const char* method, std::string_view path) const;
  Result<std::optional<RegistryEntry>> ReadEntry(std::string_view record, Deadline deadline);

  S5Options options_;
  std::string url_;  // without a slash at its end
  Redirects redirects_;
};

/// The CID of an object, as the node's paths have it.
std::string CidOf(const ObjectRef& object);

/// What a bearer token may consist of; kInvalidArgument otherwise. The token is not repeated.
Status CheckToken(std::string_view token);

/// Reads the node's errors, which are 500 with a text.
void RereadS5(const HttpReply& reply, Verdict& verdict);

}  // namespace vdb::store
