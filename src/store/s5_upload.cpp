#include "store/s5_upload.h"

#include <algorithm>
#include <charconv>

#include "base/strcat.h"
#include "store/json_fields.h"
#include "store/multibase.h"
#include "store/url.h"

namespace vdb::store {
namespace {

constexpr int kMostResumes = 3;

}  // namespace

S5Upload::S5Upload(const S5Store* store, ObjectRef ref, std::vector<uint8_t> bytes)
    : store_(store), ref_(std::move(ref)), bytes_(std::move(bytes)) {}

Status S5Upload::Error(Code code, const char* what) const {
  return StoreError(code, store_->name(), Describe(ref_), what);
}

bool S5Upload::Expects(const HttpReply& reply) const {
  if (step_ == Step::kCreate) return reply.status == 409;  // there already
  if (resumed_ == kMostResumes) return false;
  // A piece that the node has, its answer having been lost; an upload that it has forgotten.
  const bool has_piece = step_ == Step::kPiece && reply.status == 500 &&
                         reply.body.find("Invalid offset") != std::string::npos;
  return has_piece || ((step_ == Step::kPiece || step_ == Step::kOffset) && reply.status == 404);
}

HttpRequest S5Upload::Form() {
  step_ = Step::kForm;
  HttpRequest request = store_->Request("POST", "/s5/upload");
  // The hash cannot come about in the bytes that have it, but by an accident of 2^-256.
  const std::string boundary = "vdb" + EncodeMultibase('f', ref_.digest);
  request.headers.push_back("Content-Type: multipart/form-data; boundary=" + boundary);
  request.has_body = true;
  // A part of a text type would be decoded as text, and so damaged.
  request.body_head = "--" + boundary +
                      "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n"
                      "Content-Type: application/octet-stream\r\n\r\n";
  request.body = bytes_;
  request.body_tail = "\r\n--" + boundary + "--\r\n";
  return request;
}

HttpRequest S5Upload::Create() {
  step_ = Step::kCreate;
  offset_ = 0;
  HttpRequest request = store_->Request("POST", "/s5/upload/tus");
  std::vector<uint8_t> hash = {0x1f};
  hash.insert(hash.end(), ref_.digest.begin(), ref_.digest.end());
  const std::string text = EncodeBase64Url(hash);
  request.headers.emplace_back("Tus-Resumable: 1.0.0");
  request.headers.push_back(StrCat("Upload-Length: ", bytes_.size()));
  request.headers.push_back(
      "Upload-Metadata: hash " +
      EncodeBase64({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  request.has_body = true;
  return request;
}

HttpRequest S5Upload::Piece() {
  step_ = Step::kPiece;
  HttpRequest request = store_->Request("PATCH", "");
  request.url = location_;
  request.headers.emplace_back("Tus-Resumable: 1.0.0");
  request.headers.push_back(StrCat("Upload-Offset: ", offset_));
  request.headers.emplace_back("Content-Type: application/offset+octet-stream");
  request.has_body = true;
  request.body = std::span<const uint8_t>(bytes_).subspan(offset_, PieceBytes());
  return request;
}

HttpRequest S5Upload::AskOffset() {
  step_ = Step::kOffset;
  HttpRequest request = store_->Request("HEAD", "");
  request.url = location_;
  request.headers.emplace_back("Tus-Resumable: 1.0.0");
  return request;
}

uint64_t S5Upload::PieceBytes() const {
  return std::min<uint64_t>(store_->options_.max_upload_bytes, bytes_.size() - offset_);
}

std::optional<HttpRequest> S5Upload::End(bool pin) {
  step_ = Step::kPin;
  if (!pin && !store_->options_.pin) return std::nullopt;
  HttpRequest request = store_->Request("POST", "/s5/pin/" + CidOf(ref_));
  request.has_body = true;
  return request;
}

Status S5Upload::CheckAnswer(const std::string& body) const {
  auto fields = ReadJsonFields(body);
  if (!fields.ok()) return Error(Code::kUnavailable, "it did not confirm the upload");
  const Result<BlobId> cid = ParseCidText(fields.value()["cid"]);
  if (!cid.ok() || !(cid.value() == BlobId{ref_.digest, ref_.size}))
    return Error(Code::kCorruption, "the node has stored other bytes: it answered another CID");
  return {};
}

Result<std::optional<HttpRequest>> S5Upload::Next(const HttpReply* last) {
  using Request = std::optional<HttpRequest>;
  switch (step_) {
    case Step::kStart:
      return Request(bytes_.size() <= store_->options_.max_upload_bytes ? Form() : Create());
    case Step::kForm:
      VDB_RETURN_IF_ERROR(CheckAnswer(last->body));
      return End(false);
    case Step::kCreate: {
      // Somebody else's: it stays as long as they want it, unless it is ours, too. Or what was
      // sent has arrived.
      if (last->status == 409) return End(resumed_ == 0);
      const std::string base = store_->url_ + "/s5/upload/tus";
      VDB_ASSIGN_OR_RETURN(location_, ResolveUrl(base, last->Header("location")));
      // The pieces carry the token.
      if (last->Header("location").empty() || !SameOrigin(base, location_))
        return Error(Code::kUnavailable, "it wants the upload elsewhere");
      return Request(Piece());
    }
    case Step::kPiece:
      if (last->status == 404 || last->status == 500) {
        ++resumed_;
        return Request(last->status == 404 ? Create() : AskOffset());
      }
      offset_ += PieceBytes();
      if (offset_ < bytes_.size()) return Request(Piece());
      // 204 after the last piece means that the hash is the one announced.
      if (last->status != 204) return Error(Code::kUnavailable, "it did not confirm the upload");
      return End(false);
    case Step::kOffset: {
      if (last->status == 404) {
        ++resumed_;
        return Request(Create());
      }
      const std::string_view text = last->Header("upload-offset");
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset_);
      if (error != std::errc() || end != text.data() + text.size() || offset_ > bytes_.size())
        return Error(Code::kUnavailable, "it has lost its place in the upload");
      // All is there. Whether it became the object, which the answer that was lost would have said,
      // a new upload is told.
      if (offset_ == bytes_.size()) return Request(Create());
      return Request(Piece());
    }
    case Step::kPin:
      return Request();
  }
  return Internal("an upload without a step");
}

}  // namespace vdb::store
