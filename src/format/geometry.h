/// Geometry of an object: a plaintext of n bytes is cut into frames of 16 KiB, the last one
/// shorter, and each is stored with a 16-byte tag behind it. The stored object is the stored frames
/// one after the other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace vdb::format {

inline constexpr uint32_t kFrameBytes = 16384;
inline constexpr uint32_t kFrameTagBytes = 16;
inline constexpr uint32_t kStoredFrameBytes = kFrameBytes + kFrameTagBytes;

/// Frames of a plaintext.
inline constexpr uint64_t FrameCount(uint64_t plain_bytes) {
  return (plain_bytes + kFrameBytes - 1) / kFrameBytes;
}

/// Bytes of the stored object.
inline constexpr uint64_t StoredBytes(uint64_t plain_bytes) {
  return plain_bytes + kFrameTagBytes * FrameCount(plain_bytes);
}

/// Whether some plaintext has exactly this stored size (a last frame of a tag alone does not
/// occur).
inline constexpr bool IsStoredSize(uint64_t stored_bytes) {
  const uint64_t last = stored_bytes % kStoredFrameBytes;
  return last == 0 || last > kFrameTagBytes;
}

/// Bytes of the plaintext. Pre: IsStoredSize(stored_bytes).
inline constexpr uint64_t PlainBytes(uint64_t stored_bytes) {
  const uint64_t frames = (stored_bytes + kStoredFrameBytes - 1) / kStoredFrameBytes;
  return stored_bytes - kFrameTagBytes * frames;
}

/// Plaintext bytes in frame `frame`. Pre: frame < FrameCount(plain_bytes).
inline constexpr uint32_t FramePlainBytes(uint64_t plain_bytes, uint64_t frame) {
  return static_cast<uint32_t>(std::min<uint64_t>(kFrameBytes, plain_bytes - frame * kFrameBytes));
}

/// Where a stored frame starts in the stored object.
inline constexpr uint64_t StoredFrameOffset(uint64_t frame) { return frame * kStoredFrameBytes; }

/// The frames [first, first + count) that hold plaintext bytes [offset, offset + bytes).
struct FrameRange {
  uint64_t first, count;
  constexpr bool operator==(const FrameRange&) const = default;
};
inline constexpr FrameRange FramesOf(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) return {offset / kFrameBytes, 0};
  return {offset / kFrameBytes, (offset + bytes - 1) / kFrameBytes - offset / kFrameBytes + 1};
}

}  // namespace vdb::format
