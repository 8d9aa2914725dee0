/// FrameWindow: a stretch of one object's plaintext through pinned frames.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "index/searcher.h"

namespace vdb::index {

class FrameWindow {
 public:
  /// Forgets all frames; next come those of `object` from the one that holds byte `first` to the
  /// one that holds `last`.
  void Begin(uint32_t object, uint64_t first, uint64_t last) {
    object_ = object;
    first_frame_ = static_cast<uint32_t>(first / kFrameBytes);
    addresses_.assign(last / kFrameBytes - first_frame_ + 1, nullptr);
    wanted_.clear();
  }
  /// Wants the frames of [offset, offset + bytes). Pre: offsets come in ascending order; bytes > 0.
  void Want(uint64_t offset, uint64_t bytes) {
    auto frame = static_cast<uint32_t>(offset / kFrameBytes);
    const auto last = static_cast<uint32_t>((offset + bytes - 1) / kFrameBytes);
    if (!wanted_.empty() && wanted_.back().frame >= frame) frame = wanted_.back().frame + 1;
    for (; frame <= last; ++frame) wanted_.push_back({object_, frame});
  }
  /// Pins what is wanted, in one call.
  Status Pin(SegmentReader* reader) {
    pinned_.resize(wanted_.size());
    VDB_RETURN_IF_ERROR(reader->Pin(wanted_, pinned_.data()));
    for (size_t i = 0; i < wanted_.size(); ++i) {
      addresses_[wanted_[i].frame - first_frame_] = pinned_[i];
    }
    return {};
  }

  /// How many of the bytes from offset lie in memory without a gap, at most `limit`.
  uint64_t ContiguousBytes(uint64_t offset, uint64_t limit) const {
    const uint32_t first = Index(offset);
    uint64_t bytes = kFrameBytes - offset % kFrameBytes;
    for (uint32_t i = first; bytes < limit && addresses_[i + 1] == addresses_[i] + kFrameBytes;
         ++i) {
      bytes += kFrameBytes;
    }
    return bytes < limit ? bytes : limit;
  }
  /// Pre: the byte's frame is pinned.
  const uint8_t* At(uint64_t offset) const {
    return addresses_[Index(offset)] + offset % kFrameBytes;
  }
  /// Copies bytes that need not be contiguous.
  void Copy(uint64_t offset, uint64_t bytes, uint8_t* out) const {
    while (bytes > 0) {
      const uint64_t part = ContiguousBytes(offset, bytes);
      std::memcpy(out, At(offset), part);
      out += part;
      offset += part;
      bytes -= part;
    }
  }

 private:
  uint32_t Index(uint64_t offset) const {
    return static_cast<uint32_t>(offset / kFrameBytes) - first_frame_;
  }

  uint32_t object_ = 0, first_frame_ = 0;
  std::vector<const uint8_t*> addresses_;  // of each frame from first_frame_; null: not pinned
  std::vector<FrameRef> wanted_;
  std::vector<const uint8_t*> pinned_;
};

}  // namespace vdb::index
