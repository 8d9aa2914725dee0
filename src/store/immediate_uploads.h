/// ImmediateUploads: the Uploads of a store that stores an object in one go, and reads it back
/// where that is wanted, before Add returns.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "store/object_store.h"

namespace vdb::store {

class ImmediateUploads : public Uploads {
 public:
  using Put = std::function<Status(const ObjectRef&, std::vector<uint8_t>, Deadline)>;
  /// store: outlives it.
  ImmediateUploads(ObjectStore* store, const UploadOptions& options, Put put)
      : store_(store), options_(options), put_(std::move(put)) {}

  Status Add(ObjectRef ref, std::vector<uint8_t> bytes) override {
    if (error_.ok()) error_ = Check(ref, bytes);
    if (error_.ok())
      error_ = put_(ref, std::move(bytes), Deadline::After(options_.object_timeout_ms));
    if (error_.ok()) error_ = ReadBack(*store_, ref, options_);
    return error_;
  }
  Status Progress() override { return error_; }
  Status Sent() override { return error_; }
  Status Finish() override { return error_; }

 private:
  static Status Check(const ObjectRef& ref, const std::vector<uint8_t>& bytes) {
    if (bytes.size() != ref.size) return InvalidArgument("an object of another size than its name");
    return CheckName(ref.name);
  }

  ObjectStore* store_;
  UploadOptions options_;
  Put put_;
  Status error_;
};

}  // namespace vdb::store
