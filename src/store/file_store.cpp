#include "store/file_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/strcat.h"
#include "store/immediate_uploads.h"

namespace vdb::store {
namespace {

constexpr char kRecords[] = ".records/";
constexpr char kRecordsLock[] = ".records/.lock";
constexpr char kTemporary[] = ".tmp-";
// Longer than any upload takes.
constexpr int64_t kTemporarySeconds = 24 * 3600;
constexpr size_t kPiece = size_t{1} << 20;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

template <class Call>
auto Retry(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Result<std::string> TemporaryName() {
  uint64_t digits;
  if (getrandom(&digits, sizeof(digits), 0) != sizeof(digits))
    return Internal("no source of random numbers");
  char name[sizeof(kTemporary) + 16];
  std::snprintf(name, sizeof(name), "%s%016llx", kTemporary,
                static_cast<unsigned long long>(digits));
  return std::string(name);
}

/// Removes a temporary file that has not got its name.
class Temporary {
 public:
  Temporary(int directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (directory_ >= 0) unlinkat(directory_, name_.c_str(), 0);
  }
  const char* name() const { return name_.c_str(); }
  void Keep() { directory_ = -1; }

 private:
  int directory_;
  std::string name_;
};

}  // namespace

Status FileStore::Failed(std::string_view object, const char* what) const {
  const int error = errno;
  Code code = Code::kUnavailable;
  switch (error) {
    case ENOENT:
      code = Code::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:    // a symbolic link, which is not followed
    case ENOTDIR:  // or a file where a directory should be
      code = Code::kPermission;
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      code = Code::kDiskFull;
      break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      code = Code::kResourceExhausted;
      break;
    default:
      break;
  }
  return StoreError(code, name_, object, StrCat("could not ", what, ": ", std::strerror(error)));
}

Status FileStore::Continue(std::string_view object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(waiter_->Wait(-1, 0, WaitFor::kAnswer));
  if (deadline.Expired()) return StoreError(Code::kUnavailable, name_, object, "timed out");
  return {};
}

Result<Descriptor> FileStore::OpenRoot() {
  Descriptor root(Retry([&] { return open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (root.ok()) return root;
  // Without its directory the store is away; it is not that an object is missing.
  if (errno == ENOENT)
    return StoreError(Code::kUnavailable, name_, "", "its directory does not exist");
  return Failed("", "open its directory");
}

Result<FileStore::Place> FileStore::Find(std::string_view path, bool create) {
  VDB_ASSIGN_OR_RETURN(Descriptor directory, OpenRoot());
  for (size_t slash; (slash = path.find('/')) != std::string_view::npos;
       path.remove_prefix(slash + 1)) {
    const std::string segment(path.substr(0, slash));
    if (create) {
      if (mkdirat(directory.get(), segment.c_str(), 0700) == 0) {
        if (fsync(directory.get()) != 0) return Failed(path, "flush a directory");
      } else if (errno != EEXIST) {
        return Failed(path, "create a directory");
      }
    }
    Descriptor below(
        Retry([&] { return openat(directory.get(), segment.c_str(), kDirectoryFlags); }));
    if (!below.ok()) return Failed(path, "open a directory");
    directory = std::move(below);
  }
  return Place{std::move(directory), std::string(path)};
}

Result<Descriptor> FileStore::OpenFile(const ObjectRef& object) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  VDB_ASSIGN_OR_RETURN(const Place place, Find(object.name, false));
  Descriptor file(Retry([&] {
    return openat(place.directory.get(), place.file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  }));
  if (!file.ok()) return Failed(object.name, "open");
  return file;
}

Status FileStore::Read(int fd, uint64_t offset, std::span<uint8_t> target, std::string_view object,
                       Deadline deadline) {
  while (!target.empty()) {
    VDB_RETURN_IF_ERROR(Continue(object, deadline));
    const size_t wanted = std::min(target.size(), kPiece);
    const ssize_t got =
        Retry([&] { return pread(fd, target.data(), wanted, static_cast<off_t>(offset)); });
    if (got < 0) return Failed(object, "read");
    if (got == 0) return StoreError(Code::kCorruption, name_, object, "the file is too short");
    target = target.subspan(got);
    offset += got;
  }
  return {};
}

Status FileStore::GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                            Deadline deadline) {
  // Ranges of one object come one after the other: its file stays open for them.
  const ObjectRef* open_object = nullptr;
  Descriptor file;
  return GetOneByOne(requests, sink, name_, [&](const RangeRequest& request) -> Status {
    const ObjectRef& object = *request.object;
    if (open_object != &object) {
      VDB_ASSIGN_OR_RETURN(file, OpenFile(object));
      struct stat about;
      if (fstat(file.get(), &about) != 0) return Failed(object.name, "look at");
      if (static_cast<uint64_t>(about.st_size) != object.size) {
        return StoreError(Code::kCorruption, name_, object.name,
                          StrCat("has ", about.st_size, " bytes, not ", object.size));
      }
      open_object = &object;
    }
    return Read(file.get(), request.offset, request.target, object.name, deadline);
  });
}

std::unique_ptr<Uploads> FileStore::NewUploads(const UploadOptions& options) {
  const auto put = [this](const ObjectRef& ref, const std::vector<uint8_t>& bytes,
                          Deadline deadline) { return Put(ref.name, bytes, deadline); };
  return std::make_unique<ImmediateUploads>(this, options, put);
}

Status FileStore::WriteAll(int fd, std::span<const uint8_t> bytes, std::string_view object,
                           Deadline deadline) {
  while (!bytes.empty()) {
    VDB_RETURN_IF_ERROR(Continue(object, deadline));
    const size_t piece = std::min(bytes.size(), kPiece);
    const ssize_t put = Retry([&] { return write(fd, bytes.data(), piece); });
    if (put < 0) return Failed(object, "write");
    bytes = bytes.subspan(put);
  }
  if (fsync(fd) != 0) return Failed(object, "flush");
  return {};
}

Status FileStore::TryPut(std::string_view path, std::span<const uint8_t> bytes, Deadline deadline) {
  VDB_ASSIGN_OR_RETURN(const Place place, Find(path, true));
  VDB_ASSIGN_OR_RETURN(const std::string name, TemporaryName());
  const int directory = place.directory.get();
  const Descriptor file(Retry([&] {
    return openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  0600);
  }));
  if (!file.ok()) return Failed(path, "create a file");
  Temporary temporary(directory, name);
  VDB_RETURN_IF_ERROR(WriteAll(file.get(), bytes, path, deadline));
  if (renameat(directory, temporary.name(), directory, place.file.c_str()) != 0)
    return Failed(path, "rename a file");
  temporary.Keep();
  if (fsync(directory) != 0) return Failed(path, "flush a directory");
  return {};
}

Status FileStore::Put(std::string_view path, std::span<const uint8_t> bytes, Deadline deadline) {
  // Remove takes empty directories away, perhaps the one that was just made for this file.
  constexpr int kTries = 10;
  Status status;
  for (int i = 0; i < kTries; ++i) {
    status = TryPut(path, bytes, deadline);
    if (status.code() != Code::kNotFound) break;
  }
  return status;
}

void FileStore::RemoveEmptyDirectories(std::string_view path) {
  for (size_t slash; (slash = path.rfind('/')) != std::string_view::npos;) {
    path = path.substr(0, slash);
    const Result<Place> place = Find(path, false);
    // The first one that is not empty ends it, as does any error: empty directories harm nobody.
    if (!place.ok() ||
        unlinkat(place.value().directory.get(), place.value().file.c_str(), AT_REMOVEDIR) != 0)
      return;
  }
}

Result<Removal> FileStore::Remove(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  VDB_RETURN_IF_ERROR(Continue(object.name, deadline));
  Result<Place> place = Find(object.name, false);
  if (place.status().code() == Code::kNotFound) return Removal::kAbsent;
  if (!place.ok()) return place.TakeStatus();
  const int directory = place->directory.get();
  if (unlinkat(directory, place->file.c_str(), 0) != 0) {
    if (errno == ENOENT) return Removal::kAbsent;
    return Failed(object.name, "remove");
  }
  if (fsync(directory) != 0) return Failed(object.name, "flush a directory");
  RemoveEmptyDirectories(object.name);
  return Removal::kRemoved;
}

Result<std::optional<uint64_t>> FileStore::Stat(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(object.name));
  VDB_RETURN_IF_ERROR(Continue(object.name, deadline));
  Result<Place> place = Find(object.name, false);
  if (place.status().code() == Code::kNotFound) return std::optional<uint64_t>();
  if (!place.ok()) return place.TakeStatus();
  struct stat about;
  if (fstatat(place->directory.get(), place->file.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<uint64_t>();
    return Failed(object.name, "look at");
  }
  if (!S_ISREG(about.st_mode)) return std::optional<uint64_t>();
  return std::optional<uint64_t>(about.st_size);
}

Status FileStore::List(std::string_view prefix,
                       const std::function<Status(const ListedObject&)>& found, Deadline deadline) {
  VDB_ASSIGN_OR_RETURN(Descriptor root, OpenRoot());
  // `found` may remove what it is told of: it is called when the directories have been read.
  std::vector<ListedObject> all;
  VDB_RETURN_IF_ERROR(ListDirectory(std::move(root), "", prefix, &all, deadline));
  for (const ListedObject& object : all) VDB_RETURN_IF_ERROR(found(object));
  return {};
}

Status FileStore::ListDirectory(Descriptor directory, const std::string& above,
                                std::string_view prefix, std::vector<ListedObject>* found,
                                Deadline deadline) {
  VDB_RETURN_IF_ERROR(Continue(above, deadline));
  const int fd = directory.get();
  // fdopendir() takes the descriptor over.
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy < 0 ? nullptr : fdopendir(copy), closedir);
  if (entries == nullptr) {
    if (copy >= 0) close(copy);
    return Failed(above, "read a directory");
  }
  std::vector<std::string> below;
  errno = 0;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view file = entry->d_name;
    const std::string path = above + entry->d_name;
    struct stat about;
    const bool is_there = fstatat(fd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && S_ISDIR(about.st_mode) && file.front() != '.') {
      below.emplace_back(file);
    } else if (is_there && S_ISREG(about.st_mode) && CheckName(path).ok()) {
      if (path.starts_with(prefix))
        found->push_back({path, static_cast<uint64_t>(about.st_size), about.st_mtime});
    } else if (is_there && file.starts_with(kTemporary) &&
               about.st_mtime < std::time(nullptr) - kTemporarySeconds) {
      unlinkat(fd, entry->d_name, 0);
    }
    errno = 0;
  }
  if (errno != 0) return Failed(above, "read a directory");
  for (const std::string& segment : below) {
    const std::string path = above + segment + '/';
    // Only where one of the two begins with the other can there be something.
    if (path.substr(0, prefix.size()) != prefix.substr(0, path.size())) continue;
    Descriptor next(Retry([&] { return openat(fd, segment.c_str(), kDirectoryFlags); }));
    if (!next.ok() && errno == ENOENT) continue;
    if (!next.ok()) return Failed(path, "open a directory");
    VDB_RETURN_IF_ERROR(ListDirectory(std::move(next), path, prefix, found, deadline));
  }
  return {};
}

Result<Descriptor> FileStore::LockRecords(Deadline deadline) {
  VDB_ASSIGN_OR_RETURN(const Place place, Find(kRecordsLock, true));
  Descriptor lock(Retry([&] {
    return openat(place.directory.get(), place.file.c_str(),
                  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  }));
  if (!lock.ok()) return Failed(kRecordsLock, "open");
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return Failed(kRecordsLock, "lock");
    VDB_RETURN_IF_ERROR(Continue(kRecordsLock, deadline));
    // Held for a few file operations; there is no descriptor that says when it is free.
    VDB_RETURN_IF_ERROR(waiter_->Wait(-1, deadline.WaitMs(5), WaitFor::kLock));
  }
  return lock;
}

Result<std::optional<Record>> FileStore::ReadRecordFile(const std::string& path,
                                                        Deadline deadline) {
  Result<Place> place = Find(path, false);
  if (place.status().code() == Code::kNotFound) return std::optional<Record>();
  if (!place.ok()) return place.TakeStatus();
  const Descriptor file(Retry([&] {
    return openat(place->directory.get(), place->file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  }));
  if (!file.ok() && errno == ENOENT) return std::optional<Record>();
  if (!file.ok()) return Failed(path, "open");
  struct stat about;
  if (fstat(file.get(), &about) != 0) return Failed(path, "look at");
  // The number of writes, then the value.
  uint64_t writes = 0;
  if (about.st_size < static_cast<off_t>(sizeof(writes)) ||
      about.st_size > static_cast<off_t>(sizeof(writes) + kMaxRecordBytes))
    return StoreError(Code::kCorruption, name_, path, "is not a record");
  std::vector<uint8_t> bytes(about.st_size);
  VDB_RETURN_IF_ERROR(Read(file.get(), 0, bytes, path, deadline));
  for (size_t i = sizeof(writes); i-- > 0;) writes = writes << 8 | bytes[i];
  bytes.erase(bytes.begin(), bytes.begin() + sizeof(writes));
  return std::optional<Record>(Record{std::move(bytes), std::to_string(writes)});
}

Result<std::optional<Record>> FileStore::ReadRecord(std::string_view name, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckName(name));
  VDB_RETURN_IF_ERROR(Continue(name, deadline));
  return ReadRecordFile(StrCat(kRecords, name), deadline);
}

Result<std::optional<std::string>> FileStore::WriteRecord(
    std::string_view name, std::span<const uint8_t> value,
    const std::optional<std::string>& expected, Deadline deadline) {
  VDB_RETURN_IF_ERROR(CheckRecord(name, value));
  VDB_RETURN_IF_ERROR(Continue(name, deadline));
  VDB_ASSIGN_OR_RETURN(const Descriptor lock, LockRecords(deadline));
  const std::string path = StrCat(kRecords, name);
  VDB_ASSIGN_OR_RETURN(const std::optional<Record> now, ReadRecordFile(path, deadline));
  if (now.has_value() != expected.has_value() || (now && now->revision != *expected))
    return std::optional<std::string>();
  const uint64_t writes = now ? std::strtoull(now->revision.c_str(), nullptr, 10) + 1 : 1;
  std::vector<uint8_t> bytes;
  for (int shift = 0; shift < 64; shift += 8)
    bytes.push_back(static_cast<uint8_t>(writes >> shift));
  bytes.insert(bytes.end(), value.begin(), value.end());
  VDB_RETURN_IF_ERROR(Put(path, bytes, deadline));
  return std::optional<std::string>(std::to_string(writes));
}

}  // namespace vdb::store
