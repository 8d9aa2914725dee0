#include "engine/frame_reader.h"

#include "format/geometry.h"
#include "store/gaps.h"

namespace vdb::engine {
namespace {

// Frames between two wanted ones that are fetched along: 48 kB, less than a request costs. And
// where requests would have to wait for each other, 128 kB.
constexpr uint32_t kGapFrames = 3;
constexpr uint32_t kLargestGapFrames = 8;
// Stored bytes that are under way at once: the private memory that a round takes. As many as a
// search fetches ahead, with gaps.
constexpr uint64_t kRoundBytes = 32 << 20;

/// Frames between two of one object.
uint32_t Gap(const StoredFrame& a, const StoredFrame& b) { return b.frame - a.frame - 1; }

uint64_t Start(const StoredFrame& frame) { return format::StoredFrameOffset(frame.frame); }

uint64_t SealedBytes(const StoredFrame& frame) {
  return format::FramePlainBytes(frame.object->plain_bytes, frame.frame) + format::kFrameTagBytes;
}

}  // namespace

/// As many of the frames as are fetched at once, as ranges of stored bytes.
class FrameReader::Round final : public store::RangeSink {
 public:
  explicit Round(const FrameReader& reader) : reader_(reader) {}

  /// Takes as many as make a round; returns how many.
  size_t Take(std::span<const StoredFrame> frames) {
    ranges_.clear();
    store::Gaps gaps = GapsOf(frames);
    uint64_t bytes = 0;
    size_t i = 0;
    for (; i < frames.size(); ++i) {
      const StoredFrame& frame = frames[i];
      const uint64_t end = Start(frame) + SealedBytes(frame);
      const bool joins = i > 0 && frames[i - 1].object == frame.object &&
                         gaps.Reads(Gap(frames[i - 1], frame)) &&
                         end - ranges_.back().offset <= reader_.limits_.max_range_bytes;
      const uint64_t start = joins ? ranges_.back().end : Start(frame);
      if (i > 0 && bytes + (end - start) > kRoundBytes) break;
      if (!joins) ranges_.push_back({frame.object, start, end, {}});
      ranges_.back().end = end;
      ranges_.back().frames.push_back(frame);
      bytes += end - start;
    }
    stored_.resize(bytes);
    return i;
  }

  Status Fetch(Reads* reads) {
    requests_.clear();
    uint8_t* at = stored_.data();
    for (const Range& range : ranges_) {
      requests_.push_back({&range.object->ref, range.offset, {at, range.end - range.offset}});
      at += range.end - range.offset;
    }
    reads->rounds++;
    reads->requests += requests_.size();
    reads->bytes += stored_.size();
    return reader_.store_->GetRanges(requests_, *this,
                                     store::Deadline::After(reader_.limits_.timeout_ms));
  }

  Status Done(size_t index) override {
    const Range& range = ranges_[index];
    const uint8_t* const stored = requests_[index].target.data();
    for (const StoredFrame& frame : range.frames) {
      const std::span sealed(stored + (Start(frame) - range.offset), SealedBytes(frame));
      if (!range.object->cipher.TryOpenFrame(frame.frame, sealed, frame.target)) {
        return reader_.unauthentic_(frame);
      }
    }
    return {};
  }

 private:
  store::Gaps GapsOf(std::span<const StoredFrame> frames) const {
    std::vector<uint32_t> gaps;
    for (size_t i = 1; i < frames.size(); ++i) {
      if (frames[i].object == frames[i - 1].object) gaps.push_back(Gap(frames[i - 1], frames[i]));
    }
    return store::Gaps(frames.size(), gaps, kGapFrames, kLargestGapFrames,
                       reader_.limits_.max_connections);
  }

  struct Range {
    const StoredObject* object;
    uint64_t offset, end;  // of stored bytes
    std::vector<StoredFrame> frames;
  };

  const FrameReader& reader_;
  std::vector<Range> ranges_;
  std::vector<uint8_t> stored_;
  std::vector<store::RangeRequest> requests_;
};

Status FrameReader::Read(std::span<const StoredFrame> frames, Reads* reads) {
  Round round(*this);
  while (!frames.empty()) {
    frames = frames.subspan(round.Take(frames));
    VDB_RETURN_IF_ERROR(round.Fetch(reads));
  }
  return {};
}

}  // namespace vdb::engine
