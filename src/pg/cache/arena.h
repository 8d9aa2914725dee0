/// The cache's memory: one piece, in shared memory or private to the backend, laid out here.
///
///     Control | frame headers | hash buckets | S3-FIFO state | arena, 4096-aligned
///
/// Slots [0, n_frames) are the frames of the arena. Slots above are headers of images: they have a
/// key and a state like a frame, and their bytes are a run of frames that have neither.
///
/// State of a slot, one atomic word:
///
///     bits 0..31   pins
///     kValid       the key is in the hash table, the bytes are there; both stay while pinned
///     kLoading     the key is in the hash table, somebody reads the bytes
///     neither      free, part of an image, or in the hands of the backend that evicted it
///     kUses        uses since it last came to the end of a queue: 0, 1, 11 or 111
///
/// Anyone may add a pin to any slot, at any time, to find out whether it is valid: when the add
/// returns a word without kValid, or the key is another, the pin is taken back and nothing was
/// lost. A slot loses kValid only by compare-and-exchange from a word without pins. So every
/// transition keeps pins that it does not expect, and a pin on a valid slot holds it.
///
/// Locks: `policy` guards the queues and the free list; lock i of the partitions guards the chains
/// of buckets i, i + kPartitions, ... against change (not against reading). One at a time, never
/// both; between acquire and release there are only loads and stores.
#pragma once

#include "base/aligned.h"
#include "engine/s3fifo.h"
#include "pg/cache/frame_cache.h"

namespace vdb::pg {

using engine::kNoSlot;
using engine::S3Fifo;

inline constexpr uint64_t kPinMask = 0xffffffffull;
inline constexpr uint64_t kValid = 1ull << 32;
inline constexpr uint64_t kLoading = 1ull << 33;
inline constexpr int kUsesShift = 34;
inline constexpr uint64_t kUses = 7ull << kUsesShift;

inline constexpr uint32_t kPartitions = 64;
inline constexpr uint32_t kTurnstiles = 64;
/// Images that can be in shared memory at once.
inline constexpr uint32_t kImageSlots = 128;

struct alignas(kCacheLine) FrameHeader {
  pg_atomic_uint64 state;
  pg_atomic_uint32 hash;  // of the key; read by anyone who follows a chain
  pg_atomic_uint32 next;  // in the chain
  ObjectKey object;
  uint32_t frame;
  uint32_t first_frame;         // where the bytes are
  uint32_t n_frames;            // 1, or of the image; 0: an image without bytes yet
  uint32_t bucket;              // whose chain it is in; kNoSlot: none
  pg_atomic_uint32 generation;  // grows with each end of a claim: what waiters wait for
  uint32_t image;               // the slot of the image that this frame is part of, or kNoSlot
  FrameKind kind;
  Oid database;  // whose search brought it in
};
static_assert(sizeof(FrameHeader) == kCacheLine);
static_assert(std::is_trivially_copyable_v<FrameHeader>);

enum Counter {
  kHits,
  kMisses,
  kEvictions,
  kWaits,
  kWaitMicroseconds,
  kPrivateReads,
  kBytesRead,
  kCounters
};

struct alignas(kCacheLine) CacheControl {
  uint32_t n_frames, n_buckets;
  size_t headers, buckets, policy, arena;  // offsets from the control
  alignas(kCacheLine) pg_atomic_uint64 counters[kCounters];
  pg_atomic_uint64 reset_at;  // TimestampTz
  ConditionVariableMinimallyPadded turnstiles[kTurnstiles];
};
static_assert(std::is_trivially_copyable_v<CacheControl>);

/// One process's addresses of all that.
struct Arena {
  bool shared = false;
  CacheControl* control = nullptr;
  FrameHeader* headers = nullptr;
  pg_atomic_uint32* buckets = nullptr;
  uint32_t bucket_mask = 0;
  uint8_t* bytes = nullptr;
  mutable S3Fifo policy;          // under its lock
  LWLockPadded* locks = nullptr;  // policy, then the partitions; null: private

  bool IsImage(uint32_t slot) const { return slot >= control->n_frames; }
  uint32_t n_slots() const { return control->n_frames + kImageSlots; }
  uint8_t* BytesOf(const FrameHeader& header) const {
    return bytes + size_t{header.first_frame} * kFrameBytes;
  }
  ConditionVariable* TurnstileOf(uint32_t slot) const {
    return &control->turnstiles[slot % kTurnstiles].cv;
  }
};

/// Adds to what waiters wait for and wakes them.
void EndClaim(const Arena& arena, uint32_t slot);

/// Takes a slot out of its bucket's chain, if it is in one. Only the holder of its claim may.
void Unlink(const Arena& arena, uint32_t slot);

/// Holds one of the arena's locks. A private arena has none. LWLockAcquire does not raise an ERROR
/// but for holding 200 locks, and we hold one.
class ArenaLock {
 public:
  static ArenaLock Policy(const Arena& arena) { return ArenaLock(arena, 0); }
  static ArenaLock Bucket(const Arena& arena, uint32_t bucket) {
    return ArenaLock(arena, 1 + bucket % kPartitions);
  }
  ~ArenaLock() {
    if (lock_ != nullptr) LWLockRelease(lock_);
  }
  ArenaLock(const ArenaLock&) = delete;
  ArenaLock& operator=(const ArenaLock&) = delete;

 private:
  ArenaLock(const Arena& arena, uint32_t index)
      : lock_(arena.locks == nullptr ? nullptr : &arena.locks[index].lock) {
    if (lock_ != nullptr) LWLockAcquire(lock_, LW_EXCLUSIVE);
  }
  LWLock* lock_;
};

/// This process's arena: the shared one, or a private one made now. May throw ErrorPending.
const Arena& AttachArena();

}  // namespace vdb::pg
