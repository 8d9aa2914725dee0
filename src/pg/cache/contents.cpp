// What is in the cache, for those who want it back after a restart.
#include <algorithm>
#include <bit>

#include "pg/cache/local_pins.h"
#include "pg/guard.h"

namespace vdb::pg {

size_t FrameCache::free_frames() const {
  const ArenaLock lock = ArenaLock::Policy(arena_);
  return arena_.policy.size(S3Fifo::Queue::kFree);
}

std::vector<CachedFrame> FrameCache::Contents() const {
  std::vector<CachedFrame> frames;
  frames.reserve(arena_.n_slots());
  for (uint32_t slot = 0; slot < arena_.n_slots(); ++slot) {
    FrameHeader& header = arena_.headers[slot];
    if ((pg_atomic_read_u64(&header.state) & kValid) == 0) continue;
    // For a moment, so that it stays what it is; nothing here can fail.
    const uint64_t state = pg_atomic_fetch_add_u64(&header.state, 1);
    if ((state & kValid) != 0) {
      CachedFrame frame = {};
      frame.object = header.object;
      frame.frame = header.frame;
      frame.n_frames = header.n_frames;
      frame.database = header.database;
      frame.kind = header.kind;
      frame.uses = static_cast<uint8_t>(std::popcount(state & kUses));
      frames.push_back(frame);
    }
    pg_atomic_fetch_sub_u64(&header.state, 1);
  }
  std::stable_sort(frames.begin(), frames.end(), [](const CachedFrame& a, const CachedFrame& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.uses > b.uses;
  });
  return frames;
}

}  // namespace vdb::pg
