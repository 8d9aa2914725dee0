#include "pg/store/remote_reader.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "base/strcat.h"
#include "engine/frame_reader.h"
#include "format/geometry.h"
#include "pg/am/index_server.h"
#include "pg/catalog/store_server.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

namespace vdb::pg {
namespace {

RemoteReads remote_reads;

}  // namespace

const RemoteReads& GetRemoteReads() { return remote_reads; }

Oid IndexOwner(Relation index) { return index->rd_rel->relowner; }

RemoteObjectReader::RemoteObjectReader(Relation index, const MetaPage& meta)
    : index_(index),
      meta_(meta),
      store_(OpenStore(Call([&] { return RequireServerOf(index, meta); }), IndexOwner(index))) {}

Status RemoteObjectReader::Explain(Status&& status) const {
  // Damage has been explained where it was found; an interrupt or want of memory is not the
  // store's.
  if (!status.hint().empty() ||
      (status.code() != Code::kUnavailable && status.code() != Code::kRefused &&
       status.code() != Code::kNotFound && status.code() != Code::kCorruption &&
       status.code() != Code::kPermission && status.code() != Code::kUnsupported)) {
    return std::move(status);
  }
  std::string detail = StrCat("Index \"", RelationGetRelationName(index_), "\" is kept there.");
  if (!status.detail().empty()) detail = StrCat(status.detail(), " ", detail);
  const bool passes = status.code() == Code::kUnavailable || status.code() == Code::kRefused;
  const char* hint =
      passes                                ? "Searches work again when the store does."
      : status.code() == Code::kPermission  ? "The user mapping of the index's owner is used."
      : status.code() == Code::kUnsupported ? ""
                                            : "REINDEX the index, or restore the object.";
  return Status(status.code(), status.message()).WithDetail(std::move(detail)).WithHint(hint);
}

Status RemoteObjectReader::ReadStored(const ObjectEntry& object, uint64_t offset,
                                      std::span<uint8_t> out) {
  const store::ObjectRef ref = RemoteObject(meta_, object.header);
  if (out.empty()) return {};
  if (offset > ref.size || out.size() > ref.size - offset) {
    return DamagedFrame(index_, object, offset / format::kStoredFrameBytes,
                        "The object ends before it.");
  }
  return Explain(store::GetRange(*store_.store, {&ref, offset, out},
                                 store::Deadline::After(RequestTimeoutMs())));
}

Status RemoteObjectReader::ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                                      uint64_t* bytes_read) {
  std::vector<FrameRead> order(frames.begin(), frames.end());
  std::sort(order.begin(), order.end(), [](const FrameRead& a, const FrameRead& b) {
    return a.object != b.object ? std::less<>()(a.object, b.object) : a.frame < b.frame;
  });
  // Beside each other: what an object is to the index, and to the store. A deque's stay in place.
  std::deque<engine::StoredObject> stored;
  std::vector<const ObjectEntry*> entries;
  std::vector<engine::StoredFrame> wanted;
  wanted.reserve(order.size());
  for (const FrameRead& read : order) {
    const ObjectHeader& header = read.object->header;
    if (read.frame >= format::FrameCount(header.plain_bytes)) {
      return DamagedFrame(index_, *read.object, read.frame, "The object has no such frame.");
    }
    if (entries.empty() || entries.back() != read.object) {
      VDB_ASSIGN_OR_RETURN(crypto::ObjectCipher cipher, keys.CipherFor(header));
      stored.push_back({RemoteObject(meta_, header), header.plain_bytes, std::move(cipher)});
      entries.push_back(read.object);
    }
    wanted.push_back({&stored.back(), read.frame, read.target});
  }
  const auto unauthentic = [&](const engine::StoredFrame& frame) {
    size_t i = 0;
    while (&stored[i] != frame.object) ++i;
    return UnauthenticFrame(index_, *entries[i], frame.frame);
  };
  engine::FrameReader reader(store_.store.get(),
                             {store_.max_range_bytes, store_.max_connections, RequestTimeoutMs()},
                             unauthentic);
  const uint64_t before = remote_reads.bytes;
  Status read = reader.Read(wanted, &remote_reads);
  *bytes_read += remote_reads.bytes - before;
  if (!read.ok()) return Explain(std::move(read));
  return {};
}

Result<AlignedBuffer<uint8_t>> RemoteObjectReader::ReadObject(const ObjectEntry& object,
                                                              ObjectKeys& keys) {
  AlignedBuffer<uint8_t> plain(object.header.plain_bytes);
  std::vector<FrameRead> reads;
  for (uint64_t frame = 0; frame < format::FrameCount(object.header.plain_bytes); ++frame) {
    reads.push_back(
        {&object, static_cast<uint32_t>(frame), plain.data() + frame * format::kFrameBytes});
  }
  uint64_t bytes_read = 0;
  VDB_RETURN_IF_ERROR(ReadFrames(reads, keys, &bytes_read));
  return plain;
}

}  // namespace vdb::pg
