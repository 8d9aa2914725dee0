/// S5BridgeStore: objects behind Fabstir's bridge to S5: a key-value store under `/s5/fs/`.
///
/// It knows no ranges, so every read fetches a whole object; no conditional writes, so there are no
/// records; and no list. One of the bridges rewrites bodies under names that end in `.json`, so
/// such names are refused.
#pragma once

#include <string>
#include <vector>

#include "store/http_store.h"

namespace vdb::store {

struct S5BridgeOptions {
  HttpStoreOptions store;
  std::string url;  // CheckBaseUrl
  std::string auth_token;
};

class S5BridgeStore : public HttpStore {
 public:
  /// Errors: kInvalidArgument for a URL that is none, or a token that does not fit a header.
  static Result<std::unique_ptr<S5BridgeStore>> Make(S5BridgeOptions options);

  Capabilities capabilities() const override;
  Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) override;
  Status List(std::string_view prefix, const std::function<Status(const ListedObject&)>& found,
              Deadline deadline) override;
  Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) override;
  Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                 std::span<const uint8_t> value,
                                                 const std::optional<std::string>& expected,
                                                 Deadline deadline) override;

  /// Whether the bridge answers.
  Status Health(Deadline deadline);

 protected:
  Result<HttpRequest> GetRequest(const ObjectRef& object) override;
  std::unique_ptr<Exchange> NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) override;
  std::unique_ptr<RemovalExchange> NewRemoval(const ObjectRef& object) override;
  Status CheckObject(const ObjectRef& ref) const override;

 private:
  S5BridgeStore(S5BridgeOptions options, std::string url);
  HttpRequest Request(const char* method, std::string_view key) const;

  S5BridgeOptions options_;
  std::string url_;
};

}  // namespace vdb::store
