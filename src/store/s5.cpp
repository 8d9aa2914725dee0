#include "store/s5.h"

#include <algorithm>
#include <charconv>

#include "base/strcat.h"
#include "store/json_fields.h"
#include "store/multibase.h"
#include "store/s5_upload.h"
#include "store/url.h"

namespace vdb::store {
namespace {

// What the registry counts up to.
constexpr uint64_t kMaxRevision = uint64_t{1} << 48;
constexpr uint8_t kEd25519 = 0xed;

bool Contains(std::string_view text, std::string_view piece) {
  return text.find(piece) != std::string_view::npos;
}

std::string KeyText(const PublicKey& key) {
  std::vector<uint8_t> bytes = {kEd25519};
  bytes.insert(bytes.end(), key.begin(), key.end());
  return EncodeBase64Url(bytes);
}

/// An entry from the fields that the node answers.
Result<RegistryEntry> EntryOf(const std::string& body) {
  VDB_ASSIGN_OR_RETURN(auto fields, ReadJsonFields(body));
  VDB_ASSIGN_OR_RETURN(const std::vector<uint8_t> key, DecodeBase64Url(fields["pk"]));
  VDB_ASSIGN_OR_RETURN(const std::vector<uint8_t> signature, DecodeBase64Url(fields["signature"]));
  RegistryEntry entry;
  VDB_ASSIGN_OR_RETURN(entry.data, DecodeBase64Url(fields["data"]));
  const std::string& revision = fields["revision"];
  const auto [end, error] =
      std::from_chars(revision.data(), revision.data() + revision.size(), entry.revision);
  if (error != std::errc() || end != revision.data() + revision.size() ||
      key.size() != entry.key.size() + 1 || key[0] != kEd25519 ||
      signature.size() != entry.signature.size() || entry.data.size() > kMaxRecordBytes)
    return Corruption("malformed registry entry");
  std::copy(key.begin() + 1, key.end(), entry.key.begin());
  std::copy(signature.begin(), signature.end(), entry.signature.begin());
  return entry;
}

class S5Removal : public RemovalExchange {
 public:
  S5Removal(std::string store, std::string object, HttpRequest request)
      : RemovalExchange(std::move(request)), store_(std::move(store)), object_(std::move(object)) {}

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override {
    if (last == nullptr || last->status != 401) return RemovalExchange::Next(last);
    // Most nodes delete nothing, and say so with the status of a wrong token.
    if (!Contains(last->body, "Endpoint disabled"))
      return StoreError(Code::kPermission, store_, object_, "access denied (HTTP 401)");
    removal_ = Removal::kDisabled;
    return std::optional<HttpRequest>();
  }
  bool Expects(const HttpReply& reply) const override {
    return reply.status == 401 || RemovalExchange::Expects(reply);
  }

 private:
  std::string store_, object_;
};

}  // namespace

std::string CidOf(const ObjectRef& object) {
  return EncodeMultibase('z', LegacyCid({object.digest, object.size}));
}

Status CheckToken(std::string_view token) {
  for (const char c : token) {
    if (c <= ' ' || c > '~') return InvalidArgument("invalid character in an auth token");
  }
  return {};
}

void RereadS5(const HttpReply& reply, Verdict& verdict) {
  if (reply.status != 500) return;
  const auto refuse = [&](Code code, const char* what) {
    verdict = {Verdict::Kind::kRefused, code, what, false, 0};
  };
  // The node has looked for it in its network, which takes a while.
  if (Contains(reply.body, "Could not download raw file"))
    refuse(Code::kNotFound, "the node does not find the object");
  if (Contains(reply.body, "No space left on device"))
    refuse(Code::kDiskFull, "no space left on the node");
  if (Contains(reply.body, "maximum size")) refuse(Code::kUnsupported, "too large for the node");
}

Result<std::unique_ptr<S5Store>> S5Store::Make(S5Options options) {
  VDB_RETURN_IF_ERROR(CheckToken(options.auth_token));
  if (options.max_upload_bytes == 0) return InvalidArgument("invalid size of uploads");
  VDB_ASSIGN_OR_RETURN(std::string url, CheckBaseUrl(options.url));
  return std::unique_ptr<S5Store>(new S5Store(std::move(options), std::move(url)));
}

S5Store::S5Store(S5Options options, std::string url)
    : HttpStore(options.store), options_(std::move(options)), url_(std::move(url)) {
  context_.reread = &RereadS5;
}

ObjectStore::Capabilities S5Store::capabilities() const {
  return {
      .list = false, .tells_absence = false, .records = options_.keys != nullptr, .version = true};
}

Status S5Store::CheckObject(const ObjectRef& /*ref*/) const { return {}; }

HttpRequest S5Store::Request(const char* method, std::string_view path) const {
  HttpRequest request;
  request.method = method;
  request.url = StrCat(url_, path);
  request.bearer_token = &options_.auth_token;
  return request;
}

Result<HttpRequest> S5Store::GetRequest(const ObjectRef& object) {
  return Request("GET", (options_.redirect ? "/s5/blob/" : "/") + CidOf(object));
}

std::unique_ptr<Exchange> S5Store::NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) {
  return std::make_unique<S5Upload>(this, std::move(ref), std::move(bytes));
}

std::unique_ptr<RemovalExchange> S5Store::NewRemoval(const ObjectRef& object) {
  redirects_.Forget(object);
  return std::make_unique<S5Removal>(name(), Describe(object),
                                     Request("DELETE", "/s5/delete/" + CidOf(object)));
}

Result<std::optional<uint64_t>> S5Store::Stat(const ObjectRef& object, Deadline deadline) {
  // There is no other way to ask than for bytes; the size is part of what is asked for.
  if (object.size == 0) return std::optional<uint64_t>(0);
  uint8_t byte;
  const Status status = GetRange(*this, {&object, 0, {&byte, 1}}, deadline);
  if (status.code() == Code::kNotFound) return std::optional<uint64_t>();
  VDB_RETURN_IF_ERROR(status);
  return std::optional<uint64_t>(object.size);
}

Status S5Store::List(std::string_view /*prefix*/,
                     const std::function<Status(const ListedObject&)>& /*found*/,
                     Deadline /*deadline*/) {
  return StoreError(Code::kUnsupported, name(), "", "S5 cannot list objects");
}

Result<std::string> S5Store::Version(Deadline deadline) {
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(Request("GET", "/s5/version"), {}, "", deadline));
  auto fields = ReadJsonFields(reply.body);
  if (!fields.ok() || fields.value()["node"].empty())
    return StoreError(Code::kUnavailable, name(), "", "it is not an S5 node");
  return fields.value()["node"];
}

Result<std::optional<RegistryEntry>> S5Store::ReadEntry(std::string_view record,
                                                        Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(record));
  if (options_.keys == nullptr)
    return StoreError(Code::kUnsupported, name(), record, "there is no key for records");
  VDB_ASSIGN_OR_RETURN(const PublicKey key, options_.keys->Public(record));
  const std::string object(record);
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(Request("GET", "/s5/registry?pk=" + KeyText(key)),
                                                  {404}, object, deadline));
  if (reply.status == 404) return std::optional<RegistryEntry>();
  Result<RegistryEntry> entry = EntryOf(reply.body);
  if (!entry.ok()) return StoreError(Code::kCorruption, name(), record, entry.status().message());
  // Whoever keeps the registry cannot write into it.
  if (entry->key != key ||
      !options_.keys->Verifies(key, RegistryMessage(entry->revision, entry->data),
                               entry->signature))
    return StoreError(Code::kCorruption, name(), record, "the signature of its entry is wrong");
  return std::optional<RegistryEntry>(std::move(entry).value());
}

Result<std::optional<Record>> S5Store::ReadRecord(std::string_view record, Deadline deadline) {
  VDB_ASSIGN_OR_RETURN(const std::optional<RegistryEntry> entry, ReadEntry(record, deadline));
  if (!entry.has_value()) return std::optional<Record>();
  return std::optional<Record>(Record{entry->data, std::to_string(entry->revision)});
}

Result<std::optional<std::string>> S5Store::WriteRecord(std::string_view record,
                                                        std::span<const uint8_t> value,
                                                        const std::optional<std::string>& expected,
                                                        Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckRecord(record, value));
  VDB_ASSIGN_OR_RETURN(const std::optional<RegistryEntry> before, ReadEntry(record, deadline));
  if (before.has_value() != expected.has_value() ||
      (before.has_value() && std::to_string(before->revision) != *expected))
    return std::optional<std::string>();
  RegistryEntry entry;
  entry.revision = before.has_value() ? before->revision + 1 : 1;
  if (entry.revision > kMaxRevision)
    return StoreError(Code::kUnsupported, name(), record, "its revisions are used up");
  entry.data.assign(value.begin(), value.end());
  VDB_ASSIGN_OR_RETURN(entry.key, options_.keys->Public(record));
  VDB_ASSIGN_OR_RETURN(entry.signature,
                       options_.keys->Sign(record, RegistryMessage(entry.revision, entry.data)));
  const std::string revision = std::to_string(entry.revision);
  const std::string body = StrCat("{\"pk\":\"", KeyText(entry.key), "\",\"revision\":", revision,
                                  ",\"data\":\"", EncodeBase64Url(entry.data),
                                  "\",\"signature\":\"", EncodeBase64Url(entry.signature), "\"}");
  HttpRequest request = Request("POST", "/s5/registry");
  request.headers.emplace_back("Content-Type: application/json");
  request.has_body = true;
  request.body = {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
  const std::string object(record);
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(std::move(request), {500}, object, deadline));
  if (reply.status != 500) return std::optional<std::string>(revision);
  if (!Contains(reply.body, "Revision number too low"))
    return StoreError(Code::kUnavailable, name(), record, "cannot answer now (HTTP 500)")
        .Retryable();
  // Somebody was faster; or a try before this one was written, though its reply was lost.
  VDB_ASSIGN_OR_RETURN(const std::optional<RegistryEntry> now, ReadEntry(record, deadline));
  if (now.has_value() && now->revision == entry.revision && now->data == entry.data)
    return std::optional<std::string>(revision);
  return std::optional<std::string>();
}

}  // namespace vdb::store
