/// S3Upload: one object into a bucket: in one request or in parts, then a look at what is there.
#pragma once

#include <string>
#include <vector>

#include "store/exchange.h"
#include "store/s3.h"

namespace vdb::store {

class S3Upload : public Exchange {
 public:
  S3Upload(const S3Store* store, ObjectRef ref, std::vector<uint8_t> bytes);

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override;
  std::optional<HttpRequest> Undo() override;

 private:
  enum class Step : uint8_t { kStart, kPut, kCreate, kPart, kComplete, kHead };

  Status Error(const char* what) const;
  HttpRequest Put();
  HttpRequest Part();
  HttpRequest Complete();
  HttpRequest Head();
  Status Verify(const HttpReply& head) const;

  const S3Store* store_;
  ObjectRef ref_;
  std::vector<uint8_t> bytes_;
  Step step_ = Step::kStart;
  std::string upload_id_;
  std::vector<std::string> etags_;  // of the parts
  std::string etag_;                // of the object
  std::string parts_document_;
};

}  // namespace vdb::store
