#include "pg/store/segment_frames.h"

namespace vdb::pg {
namespace {

static_assert(index::kFrameBytes == kFrameBytes);

FrameKind KindOf(const ObjectHeader& chunk, uint32_t frame) {
  // A frame with the end of one region and the start of the next counts as the more wanted one.
  const uint64_t start = uint64_t{frame} * kFrameBytes;
  if (chunk.b_offset == 0 || start < chunk.b_offset) return FrameKind::kFirstCodes;
  if (chunk.c_offset == 0 || start < chunk.c_offset) return FrameKind::kExCodes;
  return FrameKind::kVectors;
}

}  // namespace

/// Reads the missing frames of one call.
class SegmentFrames::Loader final : public FrameLoader {
 public:
  /// only_look: rather fails than reads.
  Loader(SegmentFrames& owner, std::span<const index::FrameRef> frames, bool only_look)
      : owner_(owner), frames_(frames), only_look_(only_look) {}

  /// Whether it has failed for that.
  bool missed() const { return missed_; }

  Status Prepare(uint32_t request) override {
    if (only_look_) {
      missed_ = true;
      return Internal("frames are missing");
    }
    if (owner_.objects_ == nullptr) {
      owner_.objects_ =
          NewObjectReader(owner_.index_, owner_.meta_, owner_.segment_.header.segment);
    }
    // Unwraps the index's key, which may run a command; what is then derived from it is cheap.
    return owner_.keys_.CipherFor(ChunkOf(request).header).TakeStatus();
  }

  int PatienceMs() const override { return PatienceFor(owner_.meta_); }

  Status Load(std::span<const FrameRequest>, std::span<const FrameFill> fills,
              uint64_t* bytes_read) override {
    std::vector<FrameRead> reads;
    reads.reserve(fills.size());
    for (const FrameFill& fill : fills) {
      reads.push_back({&ChunkOf(fill.request), frames_[fill.request].frame, fill.target});
    }
    return owner_.objects_->ReadFrames(reads, owner_.keys_, bytes_read);
  }

 private:
  const ObjectEntry& ChunkOf(uint32_t request) const {
    return owner_.segment_.chunks[frames_[request].object];
  }

  SegmentFrames& owner_;
  std::span<const index::FrameRef> frames_;
  bool only_look_;
  bool missed_ = false;
};

Status SegmentFrames::Request(std::span<const index::FrameRef> frames) {
  requests_.resize(frames.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    const index::FrameRef& frame = frames[i];
    if (unlikely(frame.object >= segment_.chunks.size())) return Internal("no such chunk");
    const ObjectHeader& chunk = segment_.chunks[frame.object].header;
    requests_[i] = {ObjectKey::Of(chunk.id), frame.frame, KindOf(chunk, frame.frame)};
  }
  return {};
}

Status SegmentFrames::Pin(std::span<const index::FrameRef> frames, PinSet* pins,
                          const uint8_t** addresses) {
  VDB_RETURN_IF_ERROR(Request(frames));
  Loader loader(*this, frames, false);
  return NameIndexOfWait(index_, FrameCache::Get().Pin(requests_, loader, pins, addresses));
}

Result<bool> SegmentFrames::PinCached(std::span<const index::FrameRef> frames, PinSet* pins,
                                      const uint8_t** addresses) {
  VDB_RETURN_IF_ERROR(Request(frames));
  Loader look(*this, frames, true);
  Status status = FrameCache::Get().Pin(requests_, look, pins, addresses);
  if (look.missed()) return false;
  VDB_RETURN_IF_ERROR(std::move(status));
  return true;
}

}  // namespace vdb::pg
