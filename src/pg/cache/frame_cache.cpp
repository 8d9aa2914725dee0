#include "pg/cache/frame_cache.h"

#include <algorithm>
#include <bit>

#include "base/prefetch.h"
#include "base/strcat.h"
#include "pg/cache/local_pins.h"
#include "pg/guard.h"
#include "pg/wait_event.h"

namespace vdb::pg {
namespace {

// Chains hold half a slot on average. One that seems longer is one we strayed from, because a
// header was moved to another chain while we stood on it: the lookup under the lock will tell.
constexpr int kMaxChain = 32;

// After so many rounds of waiting for frames, and finding others evicted meanwhile, a backend reads
// what it misses into private memory.
constexpr int kMaxRounds = 4;

// Slots looked at under the policy lock before others may have it.
constexpr uint32_t kEvictSlice = 512;

// Frames whose headers are asked for before the first of them is pinned.
constexpr size_t kHeadersAhead = 32;

/// The bits of kUses for n uses.
constexpr uint64_t Uses(uint32_t n) { return ((1ull << n) - 1) << kUsesShift; }

}  // namespace

FrameCache& FrameCache::Get() {
  static FrameCache* cache = nullptr;
  if (cache == nullptr) {
    const Arena& arena = AttachArena();
    cache = new FrameCache(arena, LocalPins::Get(arena));
  }
  return *cache;
}

CacheUse FrameCache::Use() noexcept {
  const LocalPins* const local = LocalPins::IfMade();
  if (local == nullptr) return {};
  return {local->Counted(kHits), local->Counted(kMisses), local->fetch_ns()};
}

FrameCache::Key FrameCache::KeyOf(const ObjectKey& object, uint32_t frame) {
  // The id is a hash already; what has to be mixed in is the frame.
  const uint64_t h = (object.words[0] + frame * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
  return {object, frame, static_cast<uint32_t>(h >> 32)};
}

bool FrameCache::PinSlot(uint32_t slot, const Key& key, FrameKind kind, PinSet* pins) {
  FrameHeader& header = arena_.headers[slot];
  // Recorded first: from the add on it must be known whose it is.
  pins->pins_.push_back({slot, CurrentResourceOwner});
  const uint64_t state = pg_atomic_fetch_add_u64(&header.state, 1);
  if (likely((state & kValid) != 0 && header.object == key.object && header.frame == key.frame)) {
    // Written only while it has few uses: a hot frame costs no second atomic operation.
    const uint64_t most = Uses(engine::RetentionOf(kind).most_uses);
    if ((state & most) != most) {
      const uint64_t more = ((state & kUses) << 1 | Uses(1)) & most;
      pg_atomic_fetch_or_u64(&header.state, more);
    }
    return true;
  }
  pg_atomic_fetch_sub_u64(&header.state, 1);
  pins->pins_.pop_back();
  return false;
}

const uint8_t* FrameCache::TryPin(const Key& key, FrameKind kind, PinSet* pins) {
  uint32_t slot = pg_atomic_read_u32(&arena_.buckets[key.hash & arena_.bucket_mask]);
  for (int steps = 0; slot != kNoSlot && steps < kMaxChain; ++steps) {
    FrameHeader& header = arena_.headers[slot];
    if (pg_atomic_read_u32(&header.hash) == key.hash && PinSlot(slot, key, kind, pins)) {
      return arena_.BytesOf(header);
    }
    slot = pg_atomic_read_u32(&header.next);
  }
  return nullptr;
}

// Bucket and header of a frame are cold as a rule, and the atomic add of a pin lets no later load
// begin before it: asked for together, their cache misses overlap.
void FrameCache::PrefetchHeaders(std::span<const FrameRequest> requests) const {
  pg_atomic_uint32* buckets[kHeadersAhead];
  for (size_t i = 0; i < requests.size(); ++i) {
    const Key key = KeyOf(requests[i].object, requests[i].frame);
    buckets[i] = &arena_.buckets[key.hash & arena_.bucket_mask];
    Prefetch(buckets[i], sizeof(*buckets[i]));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const uint32_t slot = pg_atomic_read_u32(buckets[i]);
    if (slot != kNoSlot) __builtin_prefetch(&arena_.headers[slot], 1);
  }
}

FrameCache::Found FrameCache::FindLocked(const Key& key, FrameKind kind, PinSet* pins,
                                         uint32_t* slot) {
  *slot = pg_atomic_read_u32(&arena_.buckets[key.hash & arena_.bucket_mask]);
  while (*slot != kNoSlot) {
    FrameHeader& header = arena_.headers[*slot];
    if (pg_atomic_read_u32(&header.hash) == key.hash && header.object == key.object &&
        header.frame == key.frame) {
      if ((pg_atomic_read_u64(&header.state) & kLoading) != 0) return Found::kLoading;
      if (PinSlot(*slot, key, kind, pins)) return Found::kPinned;
      // Evicted, and about to be unlinked.
    }
    *slot = pg_atomic_read_u32(&header.next);
  }
  return Found::kAbsent;
}

void FrameCache::LinkLocked(uint32_t slot, const Key& key, FrameKind kind) {
  FrameHeader& header = arena_.headers[slot];
  const uint32_t bucket = key.hash & arena_.bucket_mask;
  header.object = key.object;
  header.frame = key.frame;
  header.kind = kind;
  header.database = MyDatabaseId;
  header.bucket = bucket;
  pg_atomic_write_u32(&header.hash, key.hash);
  pg_atomic_write_u32(&header.next, pg_atomic_read_u32(&arena_.buckets[bucket]));
  // A full barrier: who finds the slot in the chain finds the key as well.
  pg_atomic_fetch_or_u64(&header.state, kLoading);
  pg_atomic_write_u32(&arena_.buckets[bucket], slot);
}

void FrameCache::Publish(uint32_t slot, PinSet* pins) {
  pins->pins_.push_back({slot, CurrentResourceOwner});
  // The claim becomes a pin. A full barrier: who sees kValid sees the bytes.
  pg_atomic_fetch_add_u64(&arena_.headers[slot].state,
                          static_cast<int64>(kValid) - static_cast<int64>(kLoading) + 1);
  EndClaim(arena_, slot);
}

Status FrameCache::Wait(uint32_t slot, uint32_t generation, int patience_ms) {
  FrameHeader& header = arena_.headers[slot];
  const auto ended = [&header, generation] {
    return (pg_atomic_read_u64(&header.state) & kLoading) == 0 ||
           pg_atomic_read_u32(&header.generation) != generation;
  };
  if (ended()) return {};
  bool in_time = true;
  instr_time start, time;
  INSTR_TIME_SET_CURRENT(start);
  Call([&] {
    ConditionVariable* const turnstile = arena_.TurnstileOf(slot);
    const uint32 event = EventId(WaitEvent::kCacheFrame);
    ConditionVariablePrepareToSleep(turnstile);
    while (in_time && !ended()) {
      if (patience_ms < 0) {
        ConditionVariableSleep(turnstile, event);
        continue;
      }
      // Each sleep anew: the turnstile turns for others, too.
      INSTR_TIME_SET_CURRENT(time);
      INSTR_TIME_SUBTRACT(time, start);
      const double left_ms = patience_ms - INSTR_TIME_GET_MILLISEC(time);
      in_time = left_ms > 0;
      if (in_time) ConditionVariableTimedSleep(turnstile, static_cast<long>(left_ms) + 1, event);
    }
    ConditionVariableCancelSleep();
  });
  INSTR_TIME_SET_CURRENT(time);
  INSTR_TIME_SUBTRACT(time, start);
  local_.Count(kWaits);
  local_.Count(kWaitMicroseconds, INSTR_TIME_GET_MICROSEC(time));
  if (in_time) return {};
  return {Code::kUnavailable,
          StrCat("another session has not read index frames within ", patience_ms, " ms")};
}

/// A call of Pin that has misses.
struct FrameCache::Batch {
  std::span<const FrameRequest> requests;
  FrameLoader& loader;
  PinSet* pins;
  const uint8_t** out;
  size_t first_pin;                // in pins, of this call
  std::vector<uint32_t> missing;   // requests without an address
  std::vector<uint32_t> spare;     // slots claimed and not yet used
  std::vector<uint32_t> claimed;   // slots being loaded
  std::vector<uint32_t> overflow;  // requests to read into private memory
  std::vector<FrameFill> fills;
  std::vector<bool> is_private;  // of requests
  struct Loading {
    uint32_t slot, generation;
  };
  std::vector<Loading> loading;  // by others
  int round = 0;
};

Status FrameCache::Pin(std::span<const FrameRequest> requests, FrameLoader& loader, PinSet* pins,
                       const uint8_t** out) {
  local_.Reserve(pins, requests.size());
  const size_t first_pin = pins->pins_.size();
  size_t i = 0;
  for (; i < requests.size(); ++i) {
    if (i % kHeadersAhead == 0) {
      PrefetchHeaders(requests.subspan(i, std::min(kHeadersAhead, requests.size() - i)));
    }
    const FrameRequest& request = requests[i];
    out[i] = TryPin(KeyOf(request.object, request.frame), request.kind, pins);
    if (unlikely(out[i] == nullptr)) break;
  }
  if (likely(i == requests.size())) {
    local_.Count(kHits, requests.size());
    return {};
  }
  Batch batch{requests, loader, pins, out, first_pin, {}, {}, {}, {}, {}, {}, {}};
  for (; i < requests.size(); ++i) {
    const FrameRequest& request = requests[i];
    out[i] = TryPin(KeyOf(request.object, request.frame), request.kind, pins);
    if (out[i] == nullptr) batch.missing.push_back(static_cast<uint32_t>(i));
  }
  const FetchTime fetching(local_);
  // The first may have come between the two looks.
  Status status;
  if (!batch.missing.empty()) status = loader.Prepare(batch.missing.front());
  if (status.ok()) {
    local_.Count(kHits, requests.size() - batch.missing.size());
    local_.Count(kMisses, batch.missing.size());
    if (!batch.missing.empty()) status = PinMissing(batch);
  }
  if (!status.ok()) local_.ReleaseFrom(pins, first_pin);
  return status;
}

Status FrameCache::PinMissing(Batch& batch) {
  batch.is_private.resize(batch.requests.size());
  for (;; ++batch.round) {
    // Room first: from here to the loader nothing fails.
    const size_t n = batch.missing.size();
    for (auto* list : {&batch.spare, &batch.claimed, &batch.overflow}) {
      list->clear();
      list->reserve(n);
    }
    batch.fills.clear();
    batch.fills.reserve(n);
    batch.loading.clear();
    batch.loading.reserve(n);
    local_.ReserveClaims(n + kImageSlots);

    TakeFrames(batch);
    ClaimMissing(batch);
    VDB_RETURN_IF_ERROR(Load(batch));
    if (batch.loading.empty()) return {};
    VDB_RETURN_IF_ERROR(WaitForOthers(batch));
    if (batch.missing.empty()) return {};
  }
}

void FrameCache::TakeFrames(Batch& batch) {
  const size_t wanted = batch.missing.size();
  const auto take = [&](uint32_t slot) {
    local_.AddClaim(slot);
    batch.spare.push_back(slot);
  };
  const auto judge = [this](uint32_t slot, S3Fifo::Queue queue) { return Judge(slot, queue); };
  // Three rounds of the main queue bring down any number of uses.
  uint32_t steps = 4 * arena_.n_slots();
  // Pinned frames go round; when so many come in a row that it looks hopeless, it is.
  uint32_t skips = 256 + 8 * static_cast<uint32_t>(wanted);
  while (batch.spare.size() < wanted && steps > 0 && skips > 0) {
    const uint32_t slice = std::min(steps, kEvictSlice);
    uint32_t left = slice;
    uint32_t image = kNoSlot;
    {
      const ArenaLock lock = ArenaLock::Policy(arena_);
      while (batch.spare.size() < wanted) {
        uint32_t slot = arena_.policy.PopFree();
        if (slot == kNoSlot) {
          slot = arena_.policy.Evict(judge, &left, &skips);
          if (slot == kNoSlot) break;
          local_.Count(kEvictions, arena_.headers[slot].n_frames);
          if (arena_.IsImage(slot)) {
            local_.AddClaim(slot);
            image = slot;
            break;
          }
        }
        take(slot);
      }
    }
    if (left == slice) break;  // both queues are empty
    steps -= slice - left;
    // Gives its frames to the free list, for the next slice.
    if (image != kNoSlot) local_.AbandonClaim(image);
  }
  // An evicted frame is in its old chain until it is unlinked, but without kValid nobody uses it.
  for (uint32_t slot : batch.spare) Unlink(arena_, slot);
}

S3Fifo::Verdict FrameCache::Judge(uint32_t slot, S3Fifo::Queue queue) const {
  FrameHeader& header = arena_.headers[slot];
  uint64_t state = pg_atomic_read_u64(&header.state);
  for (;;) {
    if ((state & kPinMask) != 0 || (state & kValid) == 0) return S3Fifo::Verdict::kSkip;
    const auto uses = static_cast<uint32_t>(std::popcount(state & kUses));
    const auto [keep, left] = engine::FateOf(header.kind, queue, uses);
    const uint64_t next = (state & ~(kUses | (keep ? 0 : kValid))) | Uses(left);
    if (pg_atomic_compare_exchange_u64(&header.state, &state, next)) {
      return keep ? S3Fifo::Verdict::kKeep : S3Fifo::Verdict::kEvict;
    }
  }
}

void FrameCache::ClaimMissing(Batch& batch) {
  for (uint32_t i : batch.missing) {
    const FrameRequest& request = batch.requests[i];
    const Key key = KeyOf(request.object, request.frame);
    uint32_t slot, generation = 0;
    Found found;
    bool claimed = false;
    {
      const ArenaLock lock = ArenaLock::Bucket(arena_, key.hash & arena_.bucket_mask);
      found = FindLocked(key, request.kind, batch.pins, &slot);
      if (found == Found::kLoading) {
        generation = pg_atomic_read_u32(&arena_.headers[slot].generation);
      } else if (found == Found::kAbsent && !batch.spare.empty()) {
        slot = batch.spare.back();
        batch.spare.pop_back();
        LinkLocked(slot, key, request.kind);
        claimed = true;
      }
    }
    if (found == Found::kPinned) {
      batch.out[i] = arena_.BytesOf(arena_.headers[slot]);
    } else if (claimed) {
      uint8_t* const target = arena_.BytesOf(arena_.headers[slot]);
      batch.claimed.push_back(slot);
      batch.fills.push_back({i, target});
      batch.out[i] = target;
    } else if (found == Found::kLoading && batch.round < kMaxRounds) {
      batch.loading.push_back({slot, generation});
    } else {
      batch.overflow.push_back(i);
    }
  }
  for (uint32_t slot : batch.spare) local_.AbandonClaim(slot);
}

Status FrameCache::Load(Batch& batch) {
  Status status;
  for (uint32_t i : batch.overflow) {
    uint8_t* const frame = local_.BorrowFrame(batch.pins);
    if (frame == nullptr) {
      status =
          Status(Code::kResourceExhausted, "too many index frames are in use at once")
              .WithDetail(StrCat("All frames of the cache are pinned, and this session already "
                                 "uses its ",
                                 LocalPins::PrivateLimitBytes() >> 10, " kB instead."))
              .WithHint("Increase vdb.cache_size or work_mem.");
      break;
    }
    batch.fills.push_back({i, frame});
    batch.out[i] = frame;
    batch.is_private[i] = true;
  }
  uint64_t bytes_read = 0;
  if (status.ok() && !batch.fills.empty()) {
    status = batch.loader.Load(batch.requests, batch.fills, &bytes_read);
  }
  local_.Count(kBytesRead, bytes_read);
  local_.Count(kPrivateReads, batch.overflow.size());
  if (!status.ok()) {
    for (uint32_t slot : batch.claimed) local_.AbandonClaim(slot);
    return status;
  }
  {
    const ArenaLock lock = ArenaLock::Policy(arena_);
    for (uint32_t slot : batch.claimed) {
      arena_.policy.Insert(slot, pg_atomic_read_u32(&arena_.headers[slot].hash));
    }
  }
  for (uint32_t slot : batch.claimed) {
    local_.DropClaim(slot);
    Publish(slot, batch.pins);
  }
  return {};
}

Status FrameCache::WaitForOthers(Batch& batch) {
  // The pins of this call go, so that others can have the frames; what others read for us stays in
  // the cache by its merit. There are no claims any more, so whoever we wait for does not wait for
  // us.
  local_.ReleaseFrom(batch.pins, batch.first_pin);
  for (const Batch::Loading& loading : batch.loading) {
    VDB_RETURN_IF_ERROR(Wait(loading.slot, loading.generation, batch.loader.PatienceMs()));
  }
  batch.missing.clear();
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    if (batch.is_private[i]) continue;
    const FrameRequest& request = batch.requests[i];
    batch.out[i] = TryPin(KeyOf(request.object, request.frame), request.kind, batch.pins);
    if (batch.out[i] == nullptr) batch.missing.push_back(static_cast<uint32_t>(i));
  }
  return {};
}

}  // namespace vdb::pg
