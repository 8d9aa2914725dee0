#include "pg/am/directory.h"

#include <cstring>

namespace vdb::pg {

namespace {

template <class T>
void Put(std::vector<uint8_t>& out, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

void PutObject(std::vector<uint8_t>& out, const ObjectEntry& object) {
  ObjectHeader header = object.header;
  header.n_extents = static_cast<uint32_t>(object.extents.size());
  header.n_tid_extents = static_cast<uint32_t>(object.tid_extents.size());
  Put(out, header);
  for (const Extent& extent : object.extents) Put(out, extent);
  for (const Extent& extent : object.tid_extents) Put(out, extent);
}

/// Reads structs off the front of a byte string; every read is checked against what is left.
class Cursor {
 public:
  Cursor(const uint8_t* bytes, size_t size) : bytes_(bytes), left_(size) {}
  template <class T>
  bool Get(T* out) {
    if (left_ < sizeof(T)) return false;
    std::memcpy(out, bytes_, sizeof(T));
    bytes_ += sizeof(T);
    left_ -= sizeof(T);
    return true;
  }
  template <class T>
  bool GetArray(std::vector<T>* out, size_t n) {
    if (n > left_ / sizeof(T)) return false;
    out->resize(n);
    if (n > 0) std::memcpy(out->data(), bytes_, n * sizeof(T));
    bytes_ += n * sizeof(T);
    left_ -= n * sizeof(T);
    return true;
  }
  size_t left() const { return left_; }

 private:
  const uint8_t* bytes_;
  size_t left_;
};

bool GetObject(Cursor& cursor, ObjectEntry* object) {
  return cursor.Get(&object->header) &&
         cursor.GetArray(&object->extents, object->header.n_extents) &&
         cursor.GetArray(&object->tid_extents, object->header.n_tid_extents);
}

/// Chunks must tile the lists and the slots, the rows must add up, and each list have its dead
/// count.
bool Consistent(const SegmentEntry& segment) {
  const uint64_t n_lists = segment.header.n_lists;
  if (segment.header.dead_pages != (n_lists + kDeadCountsPerPage - 1) / kDeadCountsPerPage) {
    return false;
  }
  uint32_t list = 0, slot = 0;
  for (const ObjectEntry& chunk : segment.chunks) {
    const ObjectHeader& h = chunk.header;
    if (h.first_list != list || h.first_slot != slot || h.n_slots % 32 != 0) return false;
    if (h.n_lists > segment.header.n_lists - list) return false;
    if (h.n_slots > segment.header.n_slots - slot) return false;
    list += h.n_lists;
    slot += h.n_slots;
  }
  uint64_t rows = 0, slots = 0;
  for (uint32_t n : segment.list_rows) {
    rows += n;
    slots += (uint64_t{n} + 31) / 32 * 32;
  }
  return list == segment.header.n_lists && slot == segment.header.n_slots &&
         rows == segment.header.n_rows && slots == slot;
}

}  // namespace

std::vector<uint8_t> SerializeDirectory(const std::vector<SegmentEntry>& segments) {
  std::vector<uint8_t> out;
  Put(out, DirectoryHeader{static_cast<uint32_t>(segments.size()), 0});
  for (const SegmentEntry& segment : segments) {
    SegmentHeader header = segment.header;
    header.n_objects = static_cast<uint32_t>(segment.chunks.size() + 1);
    header.n_lists = static_cast<uint32_t>(segment.list_rows.size());
    Put(out, header);
    PutObject(out, segment.routing);
    for (const ObjectEntry& chunk : segment.chunks) PutObject(out, chunk);
    for (uint32_t rows : segment.list_rows) Put(out, rows);
  }
  return out;
}

Result<std::vector<SegmentEntry>> ParseDirectory(const uint8_t* bytes, size_t size) {
  const auto damaged = [] { return Corruption("segment directory is damaged"); };
  Cursor cursor(bytes, size);
  DirectoryHeader header;
  if (!cursor.Get(&header) || header.n_segments > size / sizeof(SegmentHeader)) return damaged();
  std::vector<SegmentEntry> segments(header.n_segments);
  for (SegmentEntry& segment : segments) {
    if (!cursor.Get(&segment.header) || segment.header.n_objects == 0 ||
        segment.header.n_objects > size / sizeof(ObjectHeader) ||
        !GetObject(cursor, &segment.routing)) {
      return damaged();
    }
    segment.chunks.resize(segment.header.n_objects - 1);
    for (ObjectEntry& chunk : segment.chunks) {
      if (!GetObject(cursor, &chunk)) return damaged();
    }
    if (!cursor.GetArray(&segment.list_rows, segment.header.n_lists) || !Consistent(segment)) {
      return damaged();
    }
  }
  if (cursor.left() != 0) return damaged();
  return segments;
}

BlockNumber ExtentBlock(const std::vector<Extent>& extents, uint64_t index) {
  for (const Extent& extent : extents) {
    if (index < extent.pages) return extent.start + static_cast<BlockNumber>(index);
    index -= extent.pages;
  }
  return InvalidBlockNumber;
}

}  // namespace vdb::pg
