/// What becomes of a cached frame at the end of one of S3Fifo's queues: by what it holds, and how
/// often it was used.
#pragma once

#include <cstdint>

#include "engine/s3fifo.h"

namespace vdb::engine {

/// What a frame holds, in the order in which it is worth keeping.
enum class FrameKind : uint8_t { kRouting = 0, kFirstCodes = 1, kExCodes = 2, kVectors = 3 };

/// How a frame's kind and uses decide its fate. A frame starts with no uses; each pin adds one, up
/// to `most_uses`, which is how many rounds of the main queue it then survives without another.
struct Retention {
  uint8_t most_uses;  // 1..3
  uint8_t promote;    // uses that take it from small to main
};

/// Every search that probes a list needs its first codes, and the ex codes of what they leave;
/// vectors only for the last few of those. One search often pins a frame of codes twice, for two of
/// its lists: only a third pin says that another search came by.
constexpr Retention RetentionOf(FrameKind kind) {
  constexpr Retention kRetention[] = {
      {3, 1},  // kRouting
      {3, 2},  // kFirstCodes
      {3, 2},  // kExCodes
      {1, 2},  // kVectors
  };
  return kRetention[static_cast<int>(kind)];
}

/// Whether a frame stays, and the uses that it is left with.
struct Fate {
  bool keep;
  uint32_t uses;
};

/// Of a frame that is not pinned, at the end of `queue`.
constexpr Fate FateOf(FrameKind kind, S3Fifo::Queue queue, uint32_t uses) {
  if (queue == S3Fifo::Queue::kSmall) return {uses >= RetentionOf(kind).promote, 0};
  return {uses > 0, uses > 0 ? uses - 1 : 0};
}

}  // namespace vdb::engine
