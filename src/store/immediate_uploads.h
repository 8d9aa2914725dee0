/// ImmediateUploads: the Uploads of a store that stores an object in one go, before Add returns.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "store/object_store.h"

namespace vdb::store {

class ImmediateUploads : public Uploads {
 public:
  using Put = std::function<Status(const ObjectRef&, std::vector<uint8_t>, Deadline)>;
  ImmediateUploads(const UploadLimits& limits, Put put)
      : timeout_ms_(limits.object_timeout_ms), put_(std::move(put)) {}

  Status Add(ObjectRef ref, std::vector<uint8_t> bytes) override {
    if (error_.ok()) error_ = Check(ref, bytes);
    if (error_.ok()) error_ = put_(ref, std::move(bytes), Deadline::After(timeout_ms_));
    if (error_.ok()) stored_.push_back(std::move(ref));
    return error_;
  }
  Status Progress() override { return error_; }
  std::vector<ObjectRef> TakeStored() override { return std::exchange(stored_, {}); }
  Status Finish() override { return error_; }

 private:
  static Status Check(const ObjectRef& ref, const std::vector<uint8_t>& bytes) {
    if (bytes.size() != ref.size) return InvalidArgument("an object of another size than its name");
    return CheckName(ref.name);
  }

  int timeout_ms_;
  Put put_;
  std::vector<ObjectRef> stored_;
  Status error_;
};

}  // namespace vdb::store
