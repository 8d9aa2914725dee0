/// HttpUploads: some objects at a time, each sent by an exchange and then read back, so that both
/// directions of a line are in use while the caller makes the next object.
///
/// How many are under way is found out: a few at first, one more whenever one was sent or read back
/// quickly, and a few again when that took long. A line with a long delay needs many; on a slow one
/// each more would only take time from the others, until one is too late.
#pragma once

#include <memory>
#include <vector>

#include "store/http_store.h"

namespace vdb::store {

class HttpUploads : public Uploads {
 public:
  /// store: outlives it.
  HttpUploads(HttpStore* store, const UploadOptions& options);
  ~HttpUploads() override;

  Status Add(ObjectRef ref, std::vector<uint8_t> bytes) override;
  Status Progress() override;
  Status Sent() override;
  Status Finish() override;

 private:
  class Upload;

  bool HasRoom(uint64_t bytes) const;
  /// One was sent, or read back.
  void Took(int64_t ms);
  /// Lets each go on without waiting, and those go that have ended.
  Status Step();
  /// Serves the network: until something happens, or once without waiting.
  Status Pump(bool wait);

  HttpStore* store_;
  UploadOptions options_;
  std::vector<std::unique_ptr<Upload>> uploads_;
  uint64_t held_bytes_ = 0;  // of all of them
  size_t window_;            // so many may be under way
  Status error_;
};

}  // namespace vdb::store
