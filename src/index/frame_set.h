/// FrameSet: the frames that one step of a search needs, pinned in one call, and the bytes in them.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "index/searcher.h"

namespace vdb::index {

class FrameSet {
 public:
  void Clear() { wanted_.clear(); }
  bool empty() const { return wanted_.empty(); }

  /// Wants the frames of bytes [offset, offset + bytes) of an object; returns the number that the
  /// first one has in this set, the others follow. A stretch that begins in the frame last wanted
  /// shares it. Pre: bytes > 0.
  uint32_t Want(uint32_t object, uint64_t offset, uint64_t bytes) {
    auto frame = static_cast<uint32_t>(offset / kFrameBytes);
    const auto last = static_cast<uint32_t>((offset + bytes - 1) / kFrameBytes);
    auto number = static_cast<uint32_t>(wanted_.size());
    if (number > 0 && wanted_.back() == FrameRef{object, frame}) {
      --number;
      ++frame;
    }
    for (; frame <= last; ++frame) wanted_.push_back({object, frame});
    return number;
  }
  Status Pin(SegmentReader* reader) {
    addresses_.resize(wanted_.size());
    return reader->Pin(wanted_, addresses_.data());
  }

  /// Byte `offset` of the object. Pre: it is in frame number `number` of this set.
  const uint8_t* At(uint32_t number, uint64_t offset) const {
    return addresses_[number] + offset % kFrameBytes;
  }
  /// How many of the bytes from offset lie in memory without a gap, at most `limit`. Pre: as many
  /// were wanted.
  uint64_t ContiguousBytes(uint32_t number, uint64_t offset, uint64_t limit) const {
    uint64_t bytes = kFrameBytes - offset % kFrameBytes;
    for (; bytes < limit && addresses_[number + 1] == addresses_[number] + kFrameBytes; ++number) {
      bytes += kFrameBytes;
    }
    return bytes < limit ? bytes : limit;
  }
  /// Copies bytes that need not be contiguous.
  void Copy(uint32_t number, uint64_t offset, uint64_t bytes, uint8_t* out) const {
    while (bytes > 0) {
      const uint64_t in_frame = kFrameBytes - offset % kFrameBytes;
      const uint64_t part = in_frame < bytes ? in_frame : bytes;
      std::memcpy(out, At(number, offset), part);
      out += part;
      offset += part;
      bytes -= part;
      ++number;
    }
  }

 private:
  std::vector<FrameRef> wanted_;
  std::vector<const uint8_t*> addresses_;
};

}  // namespace vdb::index
