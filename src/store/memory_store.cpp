#include "store/memory_store.h"

#include <cstring>
#include <ctime>

#include "base/strcat.h"
#include "store/immediate_uploads.h"

namespace vdb::store {

ObjectStore::Capabilities MemoryStore::capabilities() const { return {.list = true}; }

Status MemoryStore::GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                              Deadline /*deadline*/) {
  return GetOneByOne(requests, sink, name_, [this](const RangeRequest& request) -> Status {
    const std::vector<uint8_t>* bytes = Bytes(request.object->name);
    if (bytes == nullptr)
      return StoreError(Code::kNotFound, name_, Describe(*request.object),
                        "there is no such object");
    if (bytes->size() != request.object->size)
      return StoreError(Code::kCorruption, name_, Describe(*request.object),
                        StrCat("has ", bytes->size(), " bytes, not ", request.object->size));
    std::memcpy(request.target.data(), bytes->data() + request.offset, request.target.size());
    return {};
  });
}

std::unique_ptr<Uploads> MemoryStore::NewUploads(const UploadOptions& options) {
  const auto put = [this](const ObjectRef& ref, std::vector<uint8_t> bytes, Deadline) {
    objects_[ref.name] = {std::move(bytes), static_cast<int64_t>(std::time(nullptr))};
    return Status();
  };
  return std::make_unique<ImmediateUploads>(this, options, put);
}

Result<Removal> MemoryStore::Remove(const ObjectRef& object, Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  return objects_.erase(object.name) == 1 ? Removal::kRemoved : Removal::kAbsent;
}

Result<std::optional<uint64_t>> MemoryStore::Stat(const ObjectRef& object, Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  const std::vector<uint8_t>* bytes = Bytes(object.name);
  if (bytes == nullptr) return std::optional<uint64_t>();
  return std::optional<uint64_t>(bytes->size());
}

Status MemoryStore::List(std::string_view prefix,
                         const std::function<Status(const ListedObject&)>& found,
                         Deadline /*deadline*/) {
  // A copy: `found` may remove what it is told of.
  std::vector<ListedObject> all;
  for (const auto& [name, object] : objects_) {
    if (name.starts_with(prefix)) all.push_back({name, object.bytes.size(), object.modified_s});
  }
  for (const ListedObject& object : all) VDB_RETURN_IF_ERROR(found(object));
  return {};
}

Result<std::optional<Record>> MemoryStore::ReadRecord(std::string_view name,
                                                      Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckName(name));
  const auto record = records_.find(name);
  if (record == records_.end()) return std::optional<Record>();
  return std::optional<Record>(record->second);
}

Result<std::optional<std::string>> MemoryStore::WriteRecord(
    std::string_view name, std::span<const uint8_t> value,
    const std::optional<std::string>& expected, Deadline /*deadline*/) {
  VDB_RETURN_IF_ERROR(CheckRecord(name, value));
  const auto record = records_.find(name);
  const bool exists = record != records_.end();
  if (exists != expected.has_value() || (exists && record->second.revision != *expected))
    return std::optional<std::string>();
  const std::string revision = std::to_string(++writes_);
  records_.insert_or_assign(std::string(name),
                            Record{std::vector<uint8_t>(value.begin(), value.end()), revision});
  return std::optional<std::string>(revision);
}

std::vector<uint8_t>* MemoryStore::Bytes(const std::string& object) {
  const auto found = objects_.find(object);
  return found == objects_.end() ? nullptr : &found->second.bytes;
}

}  // namespace vdb::store
