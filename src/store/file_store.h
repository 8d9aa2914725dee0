/// FileStore: a directory, on a local or a network file system. An object is the file of its name;
/// records lie in `.records`.
///
/// A file appears under its name by a rename, after its bytes and before its directory have been
/// flushed: nobody ever sees half of one. Until then it is called `.tmp-` and random digits; what a
/// crash leaves of these, List removes a day later. Names do not lead out of the directory
/// (CheckName), nor do symbolic links below it: none is followed.
///
/// Calls of the operating system are short, but a network file system may hold one up for as long
/// as it likes; the Waiter is asked between pieces of a mebibyte.
#pragma once

#include "store/descriptor.h"
#include "store/object_store.h"

namespace vdb::store {

class FileStore : public ObjectStore {
 public:
  /// Pre: `path` is absolute. The directory itself is looked for at each operation, so that it may
  /// be mounted later; it is never created: a missing mount must not be written beneath.
  /// `waiter` outlives the store.
  FileStore(std::string name, std::string path, Waiter* waiter)
      : name_(std::move(name)), path_(std::move(path)), waiter_(waiter) {}

  const std::string& name() const override { return name_; }
  Capabilities capabilities() const override { return {.list = true}; }
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

 private:
  struct Place {
    Descriptor directory;
    std::string file;  // the last segment
  };

  Result<Descriptor> OpenRoot();
  /// Where `path` is; kNotFound when a directory on the way is missing. With `create` such are
  /// made.
  Result<Place> Find(std::string_view path, bool create);
  Result<Descriptor> OpenFile(const ObjectRef& object);
  Status Read(int fd, uint64_t offset, std::span<uint8_t> target, std::string_view object,
              Deadline deadline);
  Status Put(std::string_view path, std::span<const uint8_t> bytes, Deadline deadline);
  Status TryPut(std::string_view path, std::span<const uint8_t> bytes, Deadline deadline);
  Status WriteAll(int fd, std::span<const uint8_t> bytes, std::string_view object,
                  Deadline deadline);
  void RemoveEmptyDirectories(std::string_view path);
  Status ListDirectory(Descriptor directory, const std::string& above, std::string_view prefix,
                       std::vector<ListedObject>* found, Deadline deadline);
  Result<Descriptor> LockRecords(Deadline deadline);
  Result<std::optional<Record>> ReadRecordFile(const std::string& path, Deadline deadline);

  /// Asks whether to go on.
  Status Continue(std::string_view object, Deadline deadline);
  /// The error that errno says, `what` having been tried.
  Status Failed(std::string_view object, const char* what) const;

  std::string name_;
  std::string path_;
  Waiter* waiter_;
};

}  // namespace vdb::store
