/// MemoryStore: objects in memory, for tests.
#pragma once

#include <map>

#include "store/object_store.h"

namespace vdb::store {

class MemoryStore : public ObjectStore {
 public:
  explicit MemoryStore(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  Capabilities capabilities() const override;
  Status GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                   Deadline deadline) override;
  std::unique_ptr<Uploads> NewUploads(const UploadOptions& options) override;
  Result<Removal> Remove(const ObjectRef& object, Deadline deadline) override;
  Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) override;
  Status List(std::string_view prefix, const std::function<Status(const ListedObject&)>& found,
              Deadline deadline) override;
  Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) override;
  Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                 std::span<const uint8_t> value,
                                                 const std::optional<std::string>& expected,
                                                 Deadline deadline) override;

  /// The bytes of an object, to look at or to damage; null when there is none.
  std::vector<uint8_t>* Bytes(const std::string& object);

 private:
  struct Object {
    std::vector<uint8_t> bytes;
    int64_t modified_s;
  };

  std::string name_;
  std::map<std::string, Object> objects_;
  std::map<std::string, Record, std::less<>> records_;
  uint64_t writes_ = 0;
};

}  // namespace vdb::store
