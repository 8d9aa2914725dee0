#include "store/s3.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/strcat.h"
#include "store/s3_upload.h"
#include "store/url.h"
#include "store/xml.h"

namespace vdb::store {
namespace {

constexpr char kRecords[] = ".records/";
// Of no bytes.
constexpr char kEmptySha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// S3 itself has it at 5 TiB; a PUT and a part at 5 GiB.
constexpr uint64_t kMaxObjectBytes = uint64_t{5} << 40;

bool IsLowerNameOrDots(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

/// "2026-11-22T14:00:00.000Z"; 0 when it is nothing like it.
int64_t ParseTime(const std::string& text) {
  std::tm time = {};
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec) != 6)
    return 0;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return timegm(&time);
}

bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

/// S3 deletes what is not there without a word: so it is asked first.
class S3Removal : public RemovalExchange {
 public:
  S3Removal(HttpRequest head, HttpRequest remove)
      : RemovalExchange(std::move(remove)), head_(std::move(head)) {}

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override {
    if (last == nullptr) return std::optional<HttpRequest>(head_);
    const bool removes = !asked_ && last->status != 404;
    asked_ = true;
    return RemovalExchange::Next(removes ? nullptr : last);
  }

 private:
  HttpRequest head_;
  bool asked_ = false;
};

}  // namespace

Result<std::unique_ptr<S3Store>> S3Store::Make(S3Options options) {
  if (options.bucket.size() < 3 || options.bucket.size() > 63 ||
      !IsLowerNameOrDots(options.bucket) || options.bucket.front() == '.')
    return InvalidArgument(
        "invalid bucket: 3 to 63 of the characters a-z 0-9 . and - are expected");
  if (options.region.empty() || !IsLowerNameOrDots(options.region))
    return InvalidArgument("invalid region");
  std::string_view directory = options.prefix;
  if (directory.ends_with('/')) directory.remove_suffix(1);
  if (!options.prefix.empty() && !CheckName(directory).ok())
    return InvalidArgument("invalid prefix");
  if (options.part_bytes == 0) return InvalidArgument("invalid size of parts");
  VDB_ASSIGN_OR_RETURN(const std::string endpoint, CheckBaseUrl(options.endpoint));
  std::string url;
  if (options.path_style) {
    url = StrCat(endpoint, '/', options.bucket, '/');
  } else {
    const size_t host = endpoint.find("://") + 3;
    url = StrCat(endpoint.substr(0, host), options.bucket, '.', endpoint.substr(host), '/');
  }
  return std::unique_ptr<S3Store>(new S3Store(std::move(options), std::move(url)));
}

S3Store::S3Store(S3Options options, std::string url)
    : HttpStore(options.store), options_(std::move(options)), url_(std::move(url)) {
  sign_ = {"aws:amz:" + options_.region + ":s3", options_.access_key_id,
           options_.secret_access_key};
}

ObjectStore::Capabilities S3Store::capabilities() const {
  return {.list = true, .max_object_bytes = kMaxObjectBytes};
}

Status S3Store::CheckObject(const ObjectRef& ref) const { return CheckName(ref.name); }

HttpRequest S3Store::Request(const char* method, std::string_view key, std::string_view query,
                             std::span<const uint8_t> body) const {
  HttpRequest request;
  request.method = method;
  request.url = StrCat(url_, key.empty() ? "" : options_.prefix, key);
  if (!query.empty()) request.url += StrCat('?', query);
  std::string hash = kEmptySha256;
  if (!body.empty()) {
    hash = "UNSIGNED-PAYLOAD";
    if (options_.sha256) hash = Describe(ObjectRef{options_.sha256(body), 0, ""});
  }
  request.headers.push_back("x-amz-content-sha256: " + hash);
  if (!options_.session_token.empty())
    request.headers.push_back("x-amz-security-token: " + options_.session_token);
  if (request.method == "PUT" || request.method == "POST") {
    request.has_body = true;
    request.body = body;
    request.headers.emplace_back("Content-Type: application/octet-stream");
  }
  request.sign = &sign_;
  return request;
}

Result<HttpRequest> S3Store::GetRequest(const ObjectRef& object) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  return Request("GET", object.name);
}

std::unique_ptr<Exchange> S3Store::NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) {
  return std::make_unique<S3Upload>(this, std::move(ref), std::move(bytes));
}

std::unique_ptr<RemovalExchange> S3Store::NewRemoval(const ObjectRef& object) {
  return std::make_unique<S3Removal>(Request("HEAD", object.name), Request("DELETE", object.name));
}

Result<std::optional<uint64_t>> S3Store::Stat(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  VDB_ASSIGN_OR_RETURN(const HttpReply reply,
                       Ask(Request("HEAD", object.name), {404}, object.name, deadline));
  if (reply.status == 404) return std::optional<uint64_t>();
  uint64_t size;
  if (!ParseNumber(reply.Header("content-length"), &size))
    return StoreError(Code::kUnavailable, name(), object.name, "it did not say its size");
  return std::optional<uint64_t>(size);
}

Result<std::string> S3Store::ListPage(std::string_view query, std::vector<ListedObject>* found,
                                      Deadline deadline) {
  HttpRequest request = Request("GET", "", query);
  request.max_reply_bytes = size_t{8} << 20;
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(std::move(request), {}, "", deadline));
  bool is_list = false, is_truncated = false;
  std::string key, size_text, modified, next;
  const Status read =
      ReadXml(reply.body, [&](const std::string& path, const std::string& text) -> Status {
        if (path == "ListBucketResult/Contents/Key") key = text;
        if (path == "ListBucketResult/Contents/Size") size_text = text;
        if (path == "ListBucketResult/Contents/LastModified") modified = text;
        if (path == "ListBucketResult/IsTruncated") is_truncated = text == "true";
        if (path == "ListBucketResult/NextContinuationToken") next = text;
        if (path == "ListBucketResult") is_list = true;
        if (path != "ListBucketResult/Contents") return {};
        uint64_t size;
        if (!ParseNumber(size_text, &size)) return Corruption("an object without a size");
        // Records, and what others have put there, are no objects.
        if (key.starts_with(options_.prefix)) {
          std::string object = key.substr(options_.prefix.size());
          if (CheckName(object).ok())
            found->push_back({std::move(object), size, ParseTime(modified)});
        }
        return {};
      });
  if (!read.ok() || !is_list || (is_truncated && next.empty()))
    return StoreError(Code::kUnavailable, name(), "", "it sent a list that cannot be read");
  return is_truncated ? next : std::string();
}

Status S3Store::List(std::string_view prefix,
                     const std::function<Status(const ListedObject&)>& found, Deadline deadline) {
  std::string token;
  do {
    // In the order of names, as it is signed.
    std::string query;
    if (!token.empty()) query = "continuation-token=" + EscapeQuery(token) + "&";
    query += "list-type=2&max-keys=1000&prefix=" + EscapeQuery(StrCat(options_.prefix, prefix));
    std::vector<ListedObject> page;
    VDB_ASSIGN_OR_RETURN(std::string next, ListPage(query, &page, deadline));
    if (!next.empty() && next == token)
      return StoreError(Code::kUnavailable, this->name(), "", "its list does not end");
    token = std::move(next);
    for (const ListedObject& object : page) {
      // What was not asked for might be removed by who asked.
      if (object.name.starts_with(prefix)) VDB_RETURN_IF_ERROR(found(object));
    }
  } while (!token.empty());
  return {};
}

Result<std::string> S3Store::UnfinishedPage(std::string_view prefix, std::string_view after,
                                            std::vector<UnfinishedUpload>* found,
                                            Deadline deadline) {
  // In the order of names, as it is signed; `after` is key-marker=...&upload-id-marker=...
  const size_t middle = after.find('&');
  std::string query(after.substr(0, middle));
  if (!after.empty()) query += '&';
  query += "max-uploads=1000&prefix=" + EscapeQuery(StrCat(options_.prefix, prefix));
  if (!after.empty()) query += after.substr(middle);
  query += "&uploads=";
  HttpRequest request = Request("GET", "", query);
  request.max_reply_bytes = size_t{8} << 20;
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(std::move(request), {}, "", deadline));
  bool is_list = false, is_truncated = false;
  std::string key, id, next_key, next_id;
  const Status read =
      ReadXml(reply.body, [&](const std::string& path, const std::string& text) -> Status {
        if (path == "ListMultipartUploadsResult/Upload/Key") key = text;
        if (path == "ListMultipartUploadsResult/Upload/UploadId") id = text;
        if (path == "ListMultipartUploadsResult/IsTruncated") is_truncated = text == "true";
        if (path == "ListMultipartUploadsResult/NextKeyMarker") next_key = text;
        if (path == "ListMultipartUploadsResult/NextUploadIdMarker") next_id = text;
        if (path == "ListMultipartUploadsResult") is_list = true;
        if (path != "ListMultipartUploadsResult/Upload") return {};
        if (id.empty()) return Corruption("an upload without an id");
        // What was not asked for is none of ours, and might be given up by who asked.
        if (key.starts_with(StrCat(options_.prefix, prefix))) {
          std::string name = key.substr(options_.prefix.size());
          if (CheckName(name).ok()) found->push_back({std::move(name), id});
        }
        key.clear();
        id.clear();
        return {};
      });
  if (!read.ok() || !is_list || (is_truncated && next_key.empty()))
    return StoreError(Code::kUnavailable, name(), "", "it sent a list that cannot be read");
  if (!is_truncated) return std::string();
  return StrCat("key-marker=", EscapeQuery(next_key), "&upload-id-marker=", EscapeQuery(next_id));
}

Result<std::vector<UnfinishedUpload>> S3Store::ListUnfinished(std::string_view prefix,
                                                              Deadline deadline) {
  std::vector<UnfinishedUpload> found;
  std::string after;
  do {
    VDB_ASSIGN_OR_RETURN(std::string next, UnfinishedPage(prefix, after, &found, deadline));
    if (!next.empty() && next == after)
      return StoreError(Code::kUnavailable, name(), "", "its list does not end");
    after = std::move(next);
  } while (!after.empty());
  return found;
}

Status S3Store::GiveUp(const UnfinishedUpload& upload, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(upload.name));
  return Ask(Request("DELETE", upload.name, "uploadId=" + EscapeQuery(upload.id)), {404},
             upload.name, deadline)
      .TakeStatus();
}

Result<std::optional<Record>> S3Store::ReadRecord(std::string_view record, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(record));
  const std::string key = StrCat(kRecords, record);
  HttpRequest request = Request("GET", key);
  request.max_reply_bytes = kMaxRecordBytes;
  VDB_ASSIGN_OR_RETURN(const HttpReply reply, Ask(std::move(request), {404}, key, deadline));
  if (reply.status == 404) {
    if (reply.body.find("NoSuchBucket") != std::string::npos)
      return StoreError(Code::kNotFound, name(), "", "there is no such bucket");
    return std::optional<Record>();
  }
  const std::string_view etag = reply.Header("etag");
  if (etag.empty()) return StoreError(Code::kUnavailable, name(), key, "it sent no ETag");
  return std::optional<Record>(Record{{reply.body.begin(), reply.body.end()}, std::string(etag)});
}

Result<std::optional<std::string>> S3Store::WriteRecord(std::string_view record,
                                                        std::span<const uint8_t> value,
                                                        const std::optional<std::string>& expected,
                                                        Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckRecord(record, value));
  const std::string key = StrCat(kRecords, record);
  HttpRequest request = Request("PUT", key, "", value);
  request.headers.push_back(expected.has_value() ? "If-Match: " + *expected : "If-None-Match: *");
  // 404: there is none to match.
  VDB_ASSIGN_OR_RETURN(const HttpReply reply,
                       Ask(std::move(request), {404, 409, 412}, key, deadline));
  const bool refused = reply.status >= 400;
  if (!refused && !reply.Header("etag").empty())
    return std::optional<std::string>(reply.Header("etag"));
  // A try before this one may have been written though its reply was lost: then this is our value.
  VDB_ASSIGN_OR_RETURN(const std::optional<Record> now, ReadRecord(record, deadline));
  const bool is_ours = now.has_value() && now->revision != expected.value_or("") &&
                       std::equal(value.begin(), value.end(), now->value.begin(), now->value.end());
  if (is_ours) return std::optional<std::string>(now->revision);
  if (refused) return std::optional<std::string>();
  return StoreError(Code::kUnavailable, name(), key, "it did not confirm a write");
}

}  // namespace vdb::store
