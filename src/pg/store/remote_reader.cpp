#include "pg/store/remote_reader.h"

#include <algorithm>
#include <vector>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/am/index_server.h"
#include "pg/catalog/store_server.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"
#include "store/gaps.h"

namespace vdb::pg {
namespace {

// Frames between two wanted ones that are fetched along: 48 kB, less than a request costs. And
// where requests would have to wait for each other, 128 kB.
constexpr uint32_t kGapFrames = 3;
constexpr uint32_t kLargestGapFrames = 8;
// Stored bytes that are under way at once: the private memory that a batch takes. As many as a
// search fetches ahead, with gaps.
constexpr uint64_t kBatchBytes = 32 << 20;

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

/// Frames of one ReadFrames call as ranges of stored bytes; opens them as they come in.
class RemoteObjectReader::Batch final : public store::RangeSink {
 public:
  Batch(const RemoteObjectReader& owner, ObjectKeys& keys) : owner_(owner), keys_(keys) {}

  /// frames: in order of object and frame. Takes as many as make a batch; returns how many.
  Result<size_t> Take(std::span<const FrameRead> frames) {
    ranges_.clear();
    store::Gaps gaps = GapsOf(frames);
    uint64_t bytes = 0;
    size_t i = 0;
    for (; i < frames.size(); ++i) {
      const FrameRead& read = frames[i];
      const uint64_t plain_bytes = read.object->header.plain_bytes;
      if (read.frame >= format::FrameCount(plain_bytes)) {
        return DamagedFrame(owner_.index_, *read.object, read.frame,
                            "The object has no such frame.");
      }
      const uint64_t end = format::StoredFrameOffset(read.frame) +
                           format::FramePlainBytes(plain_bytes, read.frame) +
                           format::kFrameTagBytes;
      const bool joins = i > 0 && frames[i - 1].object == read.object &&
                         gaps.Reads(Gap(frames[i - 1], read)) &&
                         end - ranges_.back().offset <= owner_.store_.max_range_bytes;
      const uint64_t start = joins ? ranges_.back().end : format::StoredFrameOffset(read.frame);
      if (i > 0 && bytes + (end - start) > kBatchBytes) break;
      if (!joins) {
        VDB_ASSIGN_OR_RETURN(crypto::ObjectCipher cipher, keys_.CipherFor(read.object->header));
        ranges_.push_back(
            {RemoteObject(owner_.meta_, read.object->header), std::move(cipher), start, end, {}});
      }
      ranges_.back().end = end;
      ranges_.back().frames.push_back(read);
      bytes += end - start;
    }
    stored_.resize(bytes);
    return i;
  }

  Status Fetch(uint64_t* bytes_read) {
    requests_.clear();
    uint8_t* at = stored_.data();
    for (const Range& range : ranges_) {
      requests_.push_back({&range.object, range.offset, {at, range.end - range.offset}});
      at += range.end - range.offset;
    }
    *bytes_read += stored_.size();
    remote_reads.rounds++;
    remote_reads.requests += requests_.size();
    remote_reads.bytes += stored_.size();
    return owner_.store_.store->GetRanges(requests_, *this,
                                          store::Deadline::After(RequestTimeoutMs()));
  }

  Status Done(size_t index) override {
    const Range& range = ranges_[index];
    const uint8_t* const stored = requests_[index].target.data();
    for (const FrameRead& read : range.frames) {
      const uint64_t plain_bytes = read.object->header.plain_bytes;
      const std::span<const uint8_t> sealed(
          stored + (format::StoredFrameOffset(read.frame) - range.offset),
          format::FramePlainBytes(plain_bytes, read.frame) + format::kFrameTagBytes);
      if (!range.cipher.TryOpenFrame(read.frame, sealed, read.target)) {
        return UnauthenticFrame(owner_.index_, *read.object, read.frame);
      }
    }
    return {};
  }

 private:
  /// Frames between two of one object.
  static uint32_t Gap(const FrameRead& a, const FrameRead& b) { return b.frame - a.frame - 1; }
  store::Gaps GapsOf(std::span<const FrameRead> frames) const {
    std::vector<uint32_t> gaps;
    for (size_t i = 1; i < frames.size(); ++i) {
      if (frames[i].object == frames[i - 1].object) gaps.push_back(Gap(frames[i - 1], frames[i]));
    }
    return store::Gaps(frames.size(), gaps, kGapFrames, kLargestGapFrames,
                       owner_.store_.max_connections);
  }

  struct Range {
    store::ObjectRef object;
    crypto::ObjectCipher cipher;
    uint64_t offset, end;  // of stored bytes
    std::vector<FrameRead> frames;
  };

  const RemoteObjectReader& owner_;
  ObjectKeys& keys_;
  std::vector<Range> ranges_;
  std::vector<uint8_t> stored_;
  std::vector<store::RangeRequest> requests_;
};

Status RemoteObjectReader::ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                                      uint64_t* bytes_read) {
  std::vector<FrameRead> order(frames.begin(), frames.end());
  std::sort(order.begin(), order.end(), [](const FrameRead& a, const FrameRead& b) {
    return a.object != b.object ? std::less<>()(a.object, b.object) : a.frame < b.frame;
  });
  Batch batch(*this, keys);
  for (size_t done = 0; done < order.size();) {
    VDB_ASSIGN_OR_RETURN(const size_t taken, batch.Take(std::span(order).subspan(done)));
    Status fetched = batch.Fetch(bytes_read);
    if (!fetched.ok()) return Explain(std::move(fetched));
    done += taken;
  }
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
