/// ObjectStore: where immutable objects live outside the relation, and a few small records that do
/// change. In memory, in a directory, on S5, on S3; test/unit/store_conformance.h is what all of
/// them must do.
///
/// A store belongs to one thread. Everything that waits does so through the Waiter that the store
/// was given, which can end it. Each message names the store and the object, and never holds a
/// token, a signed URL or a key.
///
/// Errors, unless said otherwise: kUnavailable when the store does not answer, answers too late or
/// says that it cannot now; kRefused when it answers that it will not; kPermission; kNotFound for a
/// missing object; kDiskFull; kCorruption; what the Waiter returns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/deadline.h"
#include "store/waiter.h"

namespace vdb::store {

/// BLAKE3-256 of an object's stored bytes. What crypto::Hash is, which this layer does not know.
using Digest = std::array<uint8_t, 32>;

struct ObjectRef {
  Digest digest{};
  uint64_t size = 0;  // stored bytes
  /// Names it in a directory or a bucket (CheckName); S5 names objects by their digest.
  std::string name;
};

/// One stretch of an object, and where it goes.
struct RangeRequest {
  const ObjectRef* object;
  uint64_t offset;
  std::span<uint8_t> target;  // as long as the stretch; not empty
};

/// Takes the ranges of a batch as they come in.
class RangeSink {
 public:
  virtual ~RangeSink() = default;
  /// The bytes of request `index` are in its target; others may still be on their way. kCorruption
  /// has them fetched once more, over a connection of its own; a second one ends the batch, as any
  /// other error does at once.
  virtual Status Done(size_t index) = 0;
};

/// A sink that only waits for all.
class TakeAll final : public RangeSink {
 public:
  Status Done(size_t /*index*/) override { return {}; }
};

/// The hash that makes a Digest: BLAKE3, which this layer does not know.
using DigestFunction = Digest (*)(std::span<const uint8_t> bytes);

struct UploadOptions {
  /// Objects under way at most, so also the memory: that many are held.
  size_t max_in_flight = 4;
  /// And their bytes; a few are under way whatever their size.
  uint64_t max_bytes = UINT64_MAX;
  /// For sending one, and again for reading it back.
  int object_timeout_ms = 60'000;
  /// Given, each object is read back when the store has confirmed it, while others are sent:
  /// kCorruption when it has another digest, kNotFound when it is not there.
  DigestFunction digest = nullptr;
  uint64_t max_range_bytes = uint64_t{4} << 20;  // of a range that is read back
};

/// Objects on their way into a store. Dropping it gives up what is not stored yet; a store may then
/// hold any of them, or none. The first error is final: every later call returns it.
class Uploads {
 public:
  virtual ~Uploads() = default;
  /// Begins to store `bytes`, which are `ref`. Waits while too many others are under way.
  /// Storing an object that is there already succeeds.
  virtual Status Add(ObjectRef ref, std::vector<uint8_t> bytes) = 0;
  /// Moves things along without waiting.
  virtual Status Progress() = 0;
  /// Waits until the store has confirmed all, some of which may still have to be read back.
  virtual Status Sent() = 0;
  /// Waits for all. Then each object is stored, as far as the store can tell: it has confirmed the
  /// object's id, or name and size; and, where that was asked for, it has been read back.
  virtual Status Finish() = 0;
};

enum class Removal : uint8_t {
  kRemoved,   // is not there; may never have been, where capabilities().tells_absence is false
  kAbsent,    // was not there
  kDisabled,  // the store does not remove anything; it is still there
};

struct ListedObject {
  std::string name;
  uint64_t size;
  int64_t modified_s;  // Unix time, by the store's clock
};

/// An upload in parts that was begun, and neither finished nor given up. It is no object, but its
/// parts take room.
struct UnfinishedUpload {
  std::string name;  // of the object that it was to be
  std::string id;    // the store's
};

/// A small value that changes.
struct Record {
  std::vector<uint8_t> value;
  std::string revision;  // opaque: says which write it came from
};

/// The longest value of a record: S5's registry holds no more.
inline constexpr size_t kMaxRecordBytes = 64;
/// The longest name of an object or a record.
inline constexpr size_t kMaxNameBytes = 512;

class ObjectStore {
 public:
  struct Capabilities {
    bool list = false;          // List
    bool remove = true;         // false: Remove always says kDisabled
    bool tells_absence = true;  // Remove can tell kAbsent from kRemoved
    bool records = true;        // ReadRecord and WriteRecord; false: both are kUnsupported
    bool json_names = true;     // objects may have names that end in .json
    bool version = false;       // Version
    uint64_t max_object_bytes = UINT64_MAX;
  };

  virtual ~ObjectStore() = default;

  /// What messages call it: the name of the server.
  virtual const std::string& name() const = 0;
  virtual Capabilities capabilities() const = 0;

  /// Fetches all of `requests`, in any order, several at a time. After an error the targets hold
  /// anything. Errors also: kInvalidArgument for a range that is not inside its object.
  virtual Status GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                           Deadline deadline) = 0;

  /// What the other side says it is, or kUnsupported.
  virtual Result<std::string> Version(Deadline) {
    return Status(Code::kUnsupported, "the store does not say what it is");
  }

  virtual std::unique_ptr<Uploads> NewUploads(const UploadOptions& options) = 0;

  virtual Result<Removal> Remove(const ObjectRef& object, Deadline deadline) = 0;

  /// What has become of object number `index`: as Remove returns it.
  using RemovedFunction = std::function<void(size_t index, const Result<Removal>& removal)>;

  /// Removes objects, several at a time where that gains something, and calls `removed` once for
  /// each, in any order; each has `timeout_ms`. When the store does not answer for one
  /// (kUnavailable), the rest is not asked for, and told of with the same error; what it refuses to
  /// do with one says nothing of the others. Errors: only what ends all of it, such as the
  /// Waiter's; then some have not been told of, and may have been removed.
  virtual Status RemoveAll(std::span<const ObjectRef> objects, const RemovedFunction& removed,
                           int timeout_ms);

  /// The size of the object as the store has it, or nothing when it is not there.
  virtual Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) = 0;

  /// Calls `found` for each object whose name begins with `prefix`, in any order, until it fails.
  /// Errors also: kUnsupported where capabilities().list is false.
  virtual Status List(std::string_view prefix,
                      const std::function<Status(const ListedObject&)>& found,
                      Deadline deadline) = 0;

  /// Unfinished uploads of objects whose names begin with `prefix`, those under way included. None
  /// where a store has no such thing.
  virtual Result<std::vector<UnfinishedUpload>> ListUnfinished(std::string_view prefix,
                                                               Deadline deadline);
  /// Gives one up, and its parts. Succeeds as well when it has ended meanwhile.
  virtual Status GiveUp(const UnfinishedUpload& upload, Deadline deadline);

  /// The record `name`, or nothing when it has never been written.
  virtual Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) = 0;

  /// Writes the record if its revision still is `expected` (none: if there is no such record).
  /// The new revision; nothing when someone else was first. After kUnavailable it may have been
  /// written: read it. Values that two writers may want to write at the same time must differ: a
  /// writer whose reply was lost recognises its write by the value.
  virtual Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                         std::span<const uint8_t> value,
                                                         const std::optional<std::string>& expected,
                                                         Deadline deadline) = 0;
};

/// Whether `name` may name an object or a record: 1 to kMaxNameBytes letters, digits and `._-`, in
/// segments of at most 200 that slashes part and that do not begin with a dot. So a name is a path
/// that stays inside its directory, and a URL's path that needs no escaping.
/// Errors: kInvalidArgument.
Status CheckName(std::string_view name);

/// kInvalidArgument unless `name` may name a record and `value` fits one.
Status CheckRecord(std::string_view name, std::span<const uint8_t> value);

/// kInvalidArgument when a range is empty or not inside its object.
Status CheckRanges(std::span<const RangeRequest> requests);

/// What messages call an object: its name, or its digest in hexadecimal.
std::string Describe(const ObjectRef& object);

/// `what` about an object of a store, or about the store itself when `object` is empty.
Status StoreError(Code code, std::string_view store, std::string_view object,
                  std::string_view what);

/// Fetches ranges one after the other with `read`, as GetRanges promises it: for stores in which
/// nothing is gained by several at a time.
Status GetOneByOne(std::span<const RangeRequest> requests, RangeSink& sink, std::string_view store,
                   const std::function<Status(const RangeRequest&)>& read);

/// Fetches one stretch. Errors: as GetRanges.
Status GetRange(ObjectStore& store, const RangeRequest& request, Deadline deadline);

/// The ranges of at most `max_range_bytes` that fill `target` with the whole object.
std::vector<RangeRequest> WholeObject(const ObjectRef& object, std::span<uint8_t> target,
                                      uint64_t max_range_bytes);

/// What Uploads does for UploadOptions::digest, where reading and sending at a time gains nothing.
Status ReadBack(ObjectStore& store, const ObjectRef& object, const UploadOptions& options);

/// kCorruption unless `bytes`, which were read back, are the object.
Status CheckReadBack(std::string_view store, const ObjectRef& object,
                     std::span<const uint8_t> bytes, DigestFunction digest);

}  // namespace vdb::store
