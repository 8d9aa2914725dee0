#include "store/object_store.h"

#include "base/hex.h"
#include "base/strcat.h"

namespace vdb::store {
namespace {

// File systems end at 255; a temporary name adds a few characters.
constexpr size_t kMaxSegmentBytes = 200;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Status BadName(std::string_view why) {
  return InvalidArgument(StrCat("invalid name of a stored object: ", why));
}

}  // namespace

Result<std::vector<UnfinishedUpload>> ObjectStore::ListUnfinished(std::string_view /*prefix*/,
                                                                  Deadline /*deadline*/) {
  return std::vector<UnfinishedUpload>();
}

Status ObjectStore::GiveUp(const UnfinishedUpload& /*upload*/, Deadline /*deadline*/) { return {}; }

Status CheckName(std::string_view name) {
  if (name.empty()) return BadName("it is empty");
  if (name.size() > kMaxNameBytes) return BadName(StrCat("more than ", kMaxNameBytes, " bytes"));
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    const std::string_view segment = name.substr(at, end - at);
    if (segment.empty()) return BadName("a segment is empty");
    if (segment.front() == '.') return BadName("a segment begins with a dot");
    if (segment.size() > kMaxSegmentBytes)
      return BadName(StrCat("a segment has more than ", kMaxSegmentBytes, " bytes"));
    for (const char c : segment) {
      if (!IsNameCharacter(c))
        return BadName("it holds another character than A-Z a-z 0-9 . _ - /");
    }
    at = end + 1;
  }
  return {};
}

Status CheckRecord(std::string_view name, std::span<const uint8_t> value) {
  VDB_RETURN_IF_ERROR(CheckName(name));
  if (value.size() <= kMaxRecordBytes) return {};
  return InvalidArgument(StrCat("a record of ", value.size(), " bytes: at most ", kMaxRecordBytes));
}

Status CheckRanges(std::span<const RangeRequest> requests) {
  for (const RangeRequest& request : requests) {
    const uint64_t size = request.object->size;
    const uint64_t bytes = request.target.size();
    if (bytes == 0 || request.offset > size || bytes > size - request.offset) {
      return InvalidArgument(StrCat("bytes ", request.offset, " to ", request.offset + bytes,
                                    " are not in object ", Describe(*request.object), " of ", size,
                                    " bytes"));
    }
  }
  return {};
}

std::string Describe(const ObjectRef& object) {
  return object.name.empty() ? Hex(object.digest) : object.name;
}

Status StoreError(Code code, std::string_view store, std::string_view object,
                  std::string_view what) {
  if (object.empty()) return {code, StrCat("store \"", store, "\": ", what)};
  return {code, StrCat("store \"", store, "\", object \"", object, "\": ", what)};
}

Status GetOneByOne(std::span<const RangeRequest> requests, RangeSink& sink, std::string_view store,
                   const std::function<Status(const RangeRequest&)>& read) {
  VDB_RETURN_IF_ERROR(CheckRanges(requests));
  for (size_t i = 0; i < requests.size(); ++i) {
    VDB_RETURN_IF_ERROR(read(requests[i]));
    Status taken = sink.Done(i);
    if (taken.code() == Code::kCorruption) {
      VDB_RETURN_IF_ERROR(read(requests[i]));
      taken = sink.Done(i);
    }
    if (taken.code() == Code::kCorruption) {
      return StoreError(Code::kCorruption, store, Describe(*requests[i].object), taken.message());
    }
    VDB_RETURN_IF_ERROR(std::move(taken));
  }
  return {};
}

Status ObjectStore::RemoveAll(std::span<const ObjectRef> objects, const RemovedFunction& removed,
                              int timeout_ms) {
  Status away;
  for (size_t i = 0; i < objects.size(); ++i) {
    const Result<Removal> removal =
        away.ok() ? Remove(objects[i], Deadline::After(timeout_ms)) : away;
    if (removal.status().code() == Code::kCancelled) return removal.status();
    if (removal.status().code() == Code::kUnavailable) away = removal.status();
    removed(i, removal);
  }
  return {};
}

Status GetRange(ObjectStore& store, const RangeRequest& request, Deadline deadline) {
  TakeAll sink;
  return store.GetRanges({&request, 1}, sink, deadline);
}

std::vector<RangeRequest> WholeObject(const ObjectRef& object, std::span<uint8_t> target,
                                      uint64_t max_range_bytes) {
  std::vector<RangeRequest> requests;
  for (uint64_t at = 0; at < object.size; at += max_range_bytes) {
    const uint64_t bytes = std::min(max_range_bytes, object.size - at);
    requests.push_back({&object, at, target.subspan(at, bytes)});
  }
  return requests;
}

Status ReadBack(ObjectStore& store, const ObjectRef& object, const UploadOptions& options) {
  if (options.digest == nullptr) return {};
  std::vector<uint8_t> bytes(object.size);
  TakeAll sink;
  VDB_RETURN_IF_ERROR(store.GetRanges(WholeObject(object, bytes, options.max_range_bytes), sink,
                                      Deadline::After(options.object_timeout_ms)));
  return CheckReadBack(store.name(), object, bytes, options.digest);
}

Status CheckReadBack(std::string_view store, const ObjectRef& object,
                     std::span<const uint8_t> bytes, DigestFunction digest) {
  if (digest(bytes) == object.digest) return {};
  return StoreError(Code::kCorruption, store, Describe(object),
                    "what was read back is not what was written");
}

}  // namespace vdb::store
