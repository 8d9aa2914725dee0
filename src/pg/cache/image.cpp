// Images: what is larger than a frame and must be in one piece, that is, routing. An image has a
// header of its own (a slot above the frames) with key, state and pins like a frame's; its bytes
// are a run of adjacent frames, which meanwhile have neither.
#include <algorithm>
#include <memory>
#include <optional>

#include "pg/cache/local_pins.h"
#include "pg/guard.h"

namespace vdb::pg {
namespace {

// An image larger than this share of the arena would leave too little for codes.
constexpr uint32_t kLargestShare = 2;

constexpr int kRunAttempts = 3;

}  // namespace

Status FrameCache::PinImage(const ObjectKey& object, size_t bytes, const ImageBuilder& builder,
                            PinSet* pins, const uint8_t** image,
                            const std::function<Status()>& prepare, int patience_ms) {
  local_.Reserve(pins, 1);
  const Key key = KeyOf(object, kImageFrame);
  const uint64_t n_frames = (bytes + kFrameBytes - 1) / kFrameBytes;
  std::optional<FetchTime> fetching;
  for (bool first = true;; first = false) {
    *image = TryPin(key, FrameKind::kRouting, pins);
    if (likely(*image != nullptr)) {
      if (first) local_.Count(kHits);
      return {};
    }
    if (PrivateImage* const own = local_.FindImage(object)) {
      local_.UseImage(own, pins);
      local_.Count(kHits);
      *image = own->bytes.data();
      return {};
    }
    if (first) {
      fetching.emplace(local_);
      local_.Count(kMisses);
      if (prepare) VDB_RETURN_IF_ERROR(prepare());
    }
    if (n_frames > arena_.control->n_frames / kLargestShare) break;
    local_.ReserveClaims(n_frames + 2 * kImageSlots);

    const uint32_t slot = TakeImageSlot();
    if (slot == kNoSlot) break;
    uint32_t other, generation = 0;
    Found found;
    {
      const ArenaLock lock = ArenaLock::Bucket(arena_, key.hash & arena_.bucket_mask);
      found = FindLocked(key, FrameKind::kRouting, pins, &other);
      if (found == Found::kLoading) {
        generation = pg_atomic_read_u32(&arena_.headers[other].generation);
      } else if (found == Found::kAbsent) {
        LinkLocked(slot, key, FrameKind::kRouting);
      }
    }
    if (found != Found::kAbsent) local_.AbandonClaim(slot);
    if (found == Found::kPinned) {
      *image = arena_.BytesOf(arena_.headers[other]);
      return {};
    }
    if (found == Found::kLoading) {
      VDB_RETURN_IF_ERROR(Wait(other, generation, patience_ms));
      continue;
    }
    // The key is ours before frames are evicted for it: a hundred backends that open an index at
    // once evict one run, not a hundred.
    if (!TakeRun(slot, static_cast<uint32_t>(n_frames))) {
      local_.AbandonClaim(slot);
      break;
    }
    uint8_t* const target = arena_.BytesOf(arena_.headers[slot]);
    Status status = builder({target, bytes});
    if (!status.ok()) {
      local_.AbandonClaim(slot);
      return status;
    }
    local_.Count(kBytesRead, bytes);
    {
      const ArenaLock lock = ArenaLock::Policy(arena_);
      arena_.policy.InsertMain(slot, key.hash);
    }
    local_.DropClaim(slot);
    Publish(slot, pins);
    *image = target;
    return {};
  }
  return BuildPrivateImage(object, bytes, builder, pins, image);
}

Status FrameCache::BuildPrivateImage(const ObjectKey& object, size_t bytes,
                                     const ImageBuilder& builder, PinSet* pins,
                                     const uint8_t** image) {
  auto own = std::make_unique<PrivateImage>();
  own->object = object;
  own->bytes.Reset(bytes);
  own->uses = 0;
  VDB_RETURN_IF_ERROR(builder(own->bytes.span()));
  local_.Count(kPrivateReads);
  local_.Count(kBytesRead, bytes);
  *image = own->bytes.data();
  local_.AddImage(own.get(), pins);
  own.release();
  return {};
}

uint32_t FrameCache::TakeImageSlot() {
  // One attempt more than it needs: to evict, and to take what that has freed.
  for (int attempt = 0; attempt < 2; ++attempt) {
    uint32_t idle = kNoSlot;
    {
      const ArenaLock lock = ArenaLock::Policy(arena_);
      const uint32_t slot = arena_.policy.PopFree(S3Fifo::Queue::kSpare);
      if (slot != kNoSlot) {
        local_.AddClaim(slot);
        return slot;
      }
      for (uint32_t i = arena_.control->n_frames; i < arena_.n_slots() && idle == kNoSlot; ++i) {
        if (EvictLocked(i)) idle = i;
      }
    }
    if (idle == kNoSlot) break;
    local_.AbandonClaim(idle);
  }
  return kNoSlot;
}

bool FrameCache::EvictLocked(uint32_t slot) {
  FrameHeader& header = arena_.headers[slot];
  uint64_t state = pg_atomic_read_u64(&header.state);
  if ((state & kPinMask) != 0 || (state & kValid) == 0) return false;
  if (!pg_atomic_compare_exchange_u64(&header.state, &state, 0)) return false;
  arena_.policy.Remove(slot);
  local_.AddClaim(slot);
  local_.Count(kEvictions, header.n_frames);
  return true;
}

uint32_t FrameCache::FindRunLocked(uint32_t n_frames, bool over_images) const {
  // From the high end down, so that images lie together and leave the rest in one piece.
  uint32_t run = 0;
  for (uint32_t frame = arena_.control->n_frames; frame-- > 0;) {
    const FrameHeader& header = arena_.headers[frame];
    bool usable = arena_.policy.queue(frame) == S3Fifo::Queue::kFree;
    if (!usable) {
      // In somebody's hands: no queue, no image, no valid state.
      const bool of_image = header.image != kNoSlot;
      const FrameHeader& owner = of_image ? arena_.headers[header.image] : header;
      const uint64_t state = pg_atomic_read_u64(const_cast<pg_atomic_uint64*>(&owner.state));
      usable = (state & kPinMask) == 0 && (state & kValid) != 0 &&
               (!of_image || (over_images && (state & kUses) == 0));
    }
    run = usable ? run + 1 : 0;
    if (run == n_frames) return frame;
  }
  return kNoSlot;
}

bool FrameCache::TakeRunLocked(uint32_t first, uint32_t n_frames, std::vector<uint32_t>* images) {
  for (uint32_t frame = first; frame < first + n_frames; ++frame) {
    FrameHeader& header = arena_.headers[frame];
    if (header.image != kNoSlot) {
      // The whole image goes; its frames are free at once, its slot when it has been unlinked.
      const uint32_t image = header.image;
      if (!EvictLocked(image)) return false;
      images->push_back(image);
      FrameHeader& owner = arena_.headers[image];
      for (uint32_t i = owner.first_frame; i < owner.first_frame + owner.n_frames; ++i) {
        arena_.headers[i].image = kNoSlot;
        arena_.policy.PushFree(i);
      }
      owner.n_frames = 0;
    }
    if (arena_.policy.queue(frame) == S3Fifo::Queue::kFree) {
      arena_.policy.Remove(frame);
      local_.AddClaim(frame);
    } else if (!EvictLocked(frame)) {
      return false;
    }
  }
  return true;
}

bool FrameCache::TakeRun(uint32_t image, uint32_t n_frames) {
  std::vector<uint32_t> images;
  images.reserve(kImageSlots);
  for (int attempt = 0; attempt < kRunAttempts; ++attempt) {
    const size_t first_claim = local_.claims();
    uint32_t first;
    bool taken = false;
    {
      const ArenaLock lock = ArenaLock::Policy(arena_);
      first = FindRunLocked(n_frames, false);
      if (first == kNoSlot) first = FindRunLocked(n_frames, true);
      if (first != kNoSlot) taken = TakeRunLocked(first, n_frames, &images);
    }
    for (uint32_t evicted : images) local_.AbandonClaim(evicted);
    images.clear();
    if (first == kNoSlot) return false;
    if (!taken) {
      // Somebody pinned one of them just now.
      while (local_.claims() > first_claim) local_.AbandonLastClaim();
      continue;
    }
    for (uint32_t i = 0; i < n_frames; ++i) Unlink(arena_, first + i);
    // The frames' claims become the image's.
    FrameHeader& header = arena_.headers[image];
    {
      const ArenaLock lock = ArenaLock::Policy(arena_);
      for (uint32_t i = 0; i < n_frames; ++i) arena_.headers[first + i].image = image;
      header.first_frame = first;
      header.n_frames = n_frames;
    }
    local_.DropLastClaims(n_frames);
    return true;
  }
  return false;
}

}  // namespace vdb::pg
