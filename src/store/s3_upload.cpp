#include "store/s3_upload.h"

#include <algorithm>

#include "base/strcat.h"
#include "store/url.h"
#include "store/xml.h"

namespace vdb::store {

S3Upload::S3Upload(const S3Store* store, ObjectRef ref, std::vector<uint8_t> bytes)
    : store_(store), ref_(std::move(ref)), bytes_(std::move(bytes)) {}

Status S3Upload::Error(const char* what) const {
  return StoreError(Code::kUnavailable, store_->name(), ref_.name, what);
}

HttpRequest S3Upload::Put() {
  step_ = Step::kPut;
  return store_->Request("PUT", ref_.name, "", bytes_);
}

HttpRequest S3Upload::Part() {
  step_ = Step::kPart;
  const uint64_t part_bytes = store_->options_.part_bytes;
  const uint64_t at = etags_.size() * part_bytes;
  const std::span<const uint8_t> part =
      std::span<const uint8_t>(bytes_).subspan(at, std::min(part_bytes, bytes_.size() - at));
  const std::string query =
      StrCat("partNumber=", etags_.size() + 1, "&uploadId=", EscapeQuery(upload_id_));
  return store_->Request("PUT", ref_.name, query, part);
}

HttpRequest S3Upload::Complete() {
  step_ = Step::kComplete;
  parts_document_ = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < etags_.size(); ++i)
    parts_document_ += StrCat("<Part><PartNumber>", i + 1, "</PartNumber><ETag>",
                              EscapeXml(etags_[i]), "</ETag></Part>");
  parts_document_ += "</CompleteMultipartUpload>";
  return store_->Request(
      "POST", ref_.name, "uploadId=" + EscapeQuery(upload_id_),
      {reinterpret_cast<const uint8_t*>(parts_document_.data()), parts_document_.size()});
}

HttpRequest S3Upload::Head() {
  step_ = Step::kHead;
  return store_->Request("HEAD", ref_.name);
}

Status S3Upload::Verify(const HttpReply& head) const {
  if (head.Header("content-length") != std::to_string(bytes_.size()))
    return Error("it was stored with another size");
  if (!etag_.empty() && head.Header("etag") != etag_) return Error("another object was stored");
  return {};
}

Result<std::optional<HttpRequest>> S3Upload::Next(const HttpReply* last) {
  using Request = std::optional<HttpRequest>;
  switch (step_) {
    case Step::kStart:
      if (bytes_.size() <= store_->options_.multipart_bytes) return Request(Put());
      step_ = Step::kCreate;
      return Request(store_->Request("POST", ref_.name, "uploads="));
    case Step::kPut:
      etag_ = last->Header("etag");
      return Request(Head());
    case Step::kCreate: {
      VDB_RETURN_IF_ERROR(
          ReadXml(last->body, [this](const std::string& path, const std::string& text) {
            if (path == "InitiateMultipartUploadResult/UploadId") upload_id_ = text;
            return Status();
          }));
      if (upload_id_.empty()) return Error("it gave no id for an upload in parts");
      return Request(Part());
    }
    case Step::kPart:
      etags_.emplace_back(last->Header("etag"));
      if (etags_.back().empty()) return Error("it did not confirm a part");
      return Request(etags_.size() * store_->options_.part_bytes < bytes_.size() ? Part()
                                                                                 : Complete());
    case Step::kComplete: {
      // A success may turn out to be a failure while it is being said.
      VDB_RETURN_IF_ERROR(
          ReadXml(last->body, [this](const std::string& path, const std::string& text) {
            if (path == "CompleteMultipartUploadResult/ETag") etag_ = text;
            return Status();
          }));
      if (etag_.empty()) return Error("it did not put the parts together");
      upload_id_.clear();
      return Request(Head());
    }
    case Step::kHead:
      VDB_RETURN_IF_ERROR(Verify(*last));
      return Request();
  }
  return Internal("an upload without a step");
}

std::optional<HttpRequest> S3Upload::Undo() {
  if (upload_id_.empty()) return std::nullopt;
  return store_->Request("DELETE", ref_.name, "uploadId=" + EscapeQuery(upload_id_));
}

}  // namespace vdb::store
