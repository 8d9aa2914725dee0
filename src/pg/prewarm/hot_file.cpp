#include "pg/pg.h"

#include "pg/prewarm/hot_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <type_traits>

#include "pg/guard.h"

extern "C" {
#include "port/pg_crc32c.h"
#include "storage/fd.h"
}

namespace vdb::pg {
namespace {

struct Paths {
  const char* path;
  const char* temporary;
};
constexpr Paths kPaths[] = {
    {"vdb_ext.autoprewarm", "vdb_ext.autoprewarm.tmp"},
    {"vdb_ext.autoprewarm.unread", "vdb_ext.autoprewarm.unread.tmp"},
};
constexpr uint64_t kMagic = 0x7664625f686f746cull;  // "vdb_hotl"
constexpr uint32_t kVersion = 1;
// A terabyte of cache has so many: what claims to be more is no file of ours.
constexpr uint64_t kMostEntries = uint64_t{1} << 26;

/// Followed by `count` CachedFrames, most wanted first.
struct Header {
  uint64_t magic;
  uint32_t version;
  pg_crc32c crc;  // of count and the frames
  uint64_t count;
};
static_assert(std::is_trivially_copyable_v<CachedFrame> && sizeof(CachedFrame) == 32);
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 24);

pg_crc32c CrcOf(const CachedFrame* frames, uint64_t count) {
  pg_crc32c crc;
  INIT_CRC32C(crc);
  COMP_CRC32C(crc, &count, sizeof(count));
  COMP_CRC32C(crc, frames, count * sizeof(CachedFrame));
  FIN_CRC32C(crc);
  return crc;
}

/// False, with errno.
bool WriteAll(int fd, const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    errno = 0;
    const ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (errno == 0) errno = ENOSPC;
      return false;
    }
    at += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool ReadAll(int fd, void* bytes, size_t size) {
  char* at = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t n = read(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

const Paths& PathsOf(HotFile file) { return kPaths[static_cast<int>(file)]; }

void LogUseless(HotFile file, const char* why) {
  ereport(LOG, (errmsg("ignoring file \"%s\": %s", PathsOf(file).path, why)));
}

/// Whether the header, and the size of the file, are such that the frames can be read.
bool IsReadable(HotFile file, int fd, const Header& header) {
  if (header.magic != kMagic) return LogUseless(file, "it is not a list of frames"), false;
  if (header.version != kVersion) return LogUseless(file, "it is of another version"), false;
  const off_t end = lseek(fd, 0, SEEK_END);
  if (header.count > kMostEntries ||
      end != static_cast<off_t>(sizeof(header) + header.count * sizeof(CachedFrame)) ||
      lseek(fd, sizeof(header), SEEK_SET) < 0) {
    return LogUseless(file, "it has another length than it says"), false;
  }
  return true;
}

}  // namespace

void WriteHotFile(HotFile file, const std::vector<CachedFrame>& frames) {
  const char* const path = PathsOf(file).path;
  const char* const temporary = PathsOf(file).temporary;
  Call([&] {
    const Header header = {kMagic, kVersion, CrcOf(frames.data(), frames.size()), frames.size()};
    const int fd = OpenTransientFile(temporary, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
    if (fd < 0) {
      ereport(LOG,
              (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", temporary)));
      return;
    }
    const bool written = WriteAll(fd, &header, sizeof(header)) &&
                         WriteAll(fd, frames.data(), frames.size() * sizeof(CachedFrame));
    if (!written) {
      ereport(LOG,
              (errcode_for_file_access(), errmsg("could not write to file \"%s\": %m", temporary)));
    }
    if (CloseTransientFile(fd) != 0 || !written) {
      unlink(temporary);
      return;
    }
    // Flushes it first, and its directory afterwards. It logs what goes wrong.
    durable_rename(temporary, path, LOG);
  });
}

std::optional<std::vector<CachedFrame>> ReadHotFile(HotFile file, size_t most_frames) {
  const char* const path = PathsOf(file).path;
  std::vector<CachedFrame> frames;
  Header header = {};
  const int fd = Call([&] {
    const int opened = OpenTransientFile(path, O_RDONLY | PG_BINARY);
    if (opened < 0 && errno != ENOENT) {
      ereport(LOG, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
    }
    if (opened < 0) return opened;
    const bool readable = ReadAll(opened, &header, sizeof(header));
    if (!readable) LogUseless(file, "it is too short");
    if (readable && IsReadable(file, opened, header)) return opened;
    CloseTransientFile(opened);
    return -1;
  });
  if (fd < 0) return std::nullopt;
  frames.resize(header.count);
  const bool sound = Call([&] {
    const bool whole = ReadAll(fd, frames.data(), frames.size() * sizeof(CachedFrame)) &&
                       CrcOf(frames.data(), frames.size()) == header.crc;
    CloseTransientFile(fd);
    if (!whole) LogUseless(file, "its checksum is wrong");
    return whole;
  });
  if (!sound) return std::nullopt;
  size_t used = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    used += frames[i].n_frames;
    if (used > most_frames) frames.resize(i);
  }
  return frames;
}

void RemoveHotFile(HotFile file) {
  const char* const path = PathsOf(file).path;
  if (unlink(path) == 0 || errno == ENOENT) return;
  Call([&] {
    ereport(LOG, (errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path)));
  });
}

}  // namespace vdb::pg
