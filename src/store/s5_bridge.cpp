#include "store/s5_bridge.h"

#include <charconv>

#include "base/strcat.h"
#include "store/s5.h"
#include "store/url.h"

namespace vdb::store {
namespace {

/// A PUT, then a look at the size that is there.
class BridgeUpload : public Exchange {
 public:
  BridgeUpload(std::string store, ObjectRef ref, std::vector<uint8_t> bytes, HttpRequest put,
               HttpRequest head)
      : store_(std::move(store)),
        ref_(std::move(ref)),
        bytes_(std::move(bytes)),
        put_(std::move(put)),
        head_(std::move(head)) {
    put_.has_body = true;
    put_.body = bytes_;
  }

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override {
    switch (step_++) {
      case 0:
        return std::optional<HttpRequest>(put_);
      case 1:
        return std::optional<HttpRequest>(head_);
      default:
        break;
    }
    if (last->Header("content-length") != std::to_string(bytes_.size()))
      return StoreError(Code::kUnavailable, store_, Describe(ref_),
                        "it was stored with another size");
    return std::optional<HttpRequest>();
  }

 private:
  std::string store_;
  ObjectRef ref_;
  std::vector<uint8_t> bytes_;
  HttpRequest put_, head_;
  int step_ = 0;
};

}  // namespace

Result<std::unique_ptr<S5BridgeStore>> S5BridgeStore::Make(S5BridgeOptions options) {
  VDB_RETURN_IF_ERROR(CheckToken(options.auth_token));
  VDB_ASSIGN_OR_RETURN(std::string url, CheckBaseUrl(options.url));
  return std::unique_ptr<S5BridgeStore>(new S5BridgeStore(std::move(options), std::move(url)));
}

S5BridgeStore::S5BridgeStore(S5BridgeOptions options, std::string url)
    : HttpStore(options.store), options_(std::move(options)), url_(std::move(url)) {}

ObjectStore::Capabilities S5BridgeStore::capabilities() const {
  return {.list = false, .records = false, .json_names = false};
}

Status S5BridgeStore::CheckObject(const ObjectRef& ref) const {
  VDB_RETURN_IF_ERROR(CheckName(ref.name));
  if (ref.name.ends_with(".json"))
    return InvalidArgument("a bridge does not keep the bytes of names that end in .json");
  return {};
}

HttpRequest S5BridgeStore::Request(const char* method, std::string_view key) const {
  HttpRequest request;
  request.method = method;
  request.url = StrCat(url_, "/s5/fs/", key);
  request.bearer_token = &options_.auth_token;
  request.headers.emplace_back("Content-Type: application/octet-stream");
  return request;
}

Result<HttpRequest> S5BridgeStore::GetRequest(const ObjectRef& object) {
  VDB_RETURN_IF_ERROR(CheckObject(object));
  return Request("GET", object.name);
}

std::unique_ptr<Exchange> S5BridgeStore::NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) {
  HttpRequest put = Request("PUT", ref.name), head = Request("HEAD", ref.name);
  return std::make_unique<BridgeUpload>(name(), std::move(ref), std::move(bytes), std::move(put),
                                        std::move(head));
}

std::unique_ptr<RemovalExchange> S5BridgeStore::NewRemoval(const ObjectRef& object) {
  return std::make_unique<RemovalExchange>(Request("DELETE", object.name));
}

Result<std::optional<uint64_t>> S5BridgeStore::Stat(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckObject(object));
  VDB_ASSIGN_OR_RETURN(const HttpReply reply,
                       Ask(Request("HEAD", object.name), {404}, Describe(object), deadline));
  if (reply.status == 404) return std::optional<uint64_t>();
  const std::string_view text = reply.Header("content-length");
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size())
    return StoreError(Code::kUnavailable, name(), Describe(object), "it did not say its size");
  return std::optional<uint64_t>(size);
}

Status S5BridgeStore::List(std::string_view /*prefix*/,
                           const std::function<Status(const ListedObject&)>& /*found*/,
                           Deadline /*deadline*/) {
  return StoreError(Code::kUnsupported, name(), "", "a bridge to S5 cannot list objects");
}

Result<std::optional<Record>> S5BridgeStore::ReadRecord(std::string_view record,
                                                        Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckName(record));
  return StoreError(Code::kUnsupported, name(), record, "a bridge to S5 keeps no records");
}

Result<std::optional<std::string>> S5BridgeStore::WriteRecord(
    std::string_view record, std::span<const uint8_t> value,
    const std::optional<std::string>& /*expected*/, Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckRecord(record, value));
  return StoreError(Code::kUnsupported, name(), record, "a bridge to S5 keeps no records");
}

Status S5BridgeStore::Health(Deadline deadline) {
  HttpRequest request;
  request.url = url_ + "/health";
  return Ask(std::move(request), {}, "", deadline).TakeStatus();
}

}  // namespace vdb::store
