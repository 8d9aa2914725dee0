#include "pg/cache/arena.h"

#include <algorithm>
#include <bit>

#include "pg/guard.h"

namespace vdb::pg {
namespace {

constexpr char kTrancheName[] = "vdb_cache";
constexpr size_t kArenaAlignment = 4096;
// Without shared memory each backend pays for its own.
constexpr int kPrivateKb = 16 * 1024;
constexpr int kFrameKb = kFrameBytes / 1024;

int cache_size_kb = 150 * 1024;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;
CacheControl* shared_control = nullptr;
LWLockPadded* shared_locks = nullptr;

struct Layout {
  uint32_t n_frames, n_buckets;
  size_t headers, buckets, policy, arena, total;
};

Layout LayOut(int size_kb) {
  Layout layout;
  layout.n_frames = static_cast<uint32_t>(size_kb / kFrameKb);
  const uint32_t n_slots = layout.n_frames + kImageSlots;
  // Chains of half a slot on average: nearly every hit reads one header.
  layout.n_buckets = std::bit_ceil(std::max(n_slots, kPartitions)) * 2;
  layout.headers = sizeof(CacheControl);
  layout.buckets = layout.headers + size_t{n_slots} * sizeof(FrameHeader);
  layout.policy = layout.buckets + size_t{layout.n_buckets} * sizeof(pg_atomic_uint32);
  layout.arena = TYPEALIGN(kArenaAlignment, layout.policy + S3Fifo::Bytes(n_slots));
  layout.total = layout.arena + size_t{layout.n_frames} * kFrameBytes;
  return layout;
}

/// The caller of the allocation leaves room for this.
void* Align(void* memory) {
  return reinterpret_cast<void*>(TYPEALIGN(kArenaAlignment, reinterpret_cast<uintptr_t>(memory)));
}

Arena ViewOf(CacheControl* control, LWLockPadded* locks) {
  char* const base = reinterpret_cast<char*>(control);
  Arena arena;
  arena.shared = locks != nullptr;
  arena.control = control;
  arena.headers = reinterpret_cast<FrameHeader*>(base + control->headers);
  arena.buckets = reinterpret_cast<pg_atomic_uint32*>(base + control->buckets);
  arena.bucket_mask = control->n_buckets - 1;
  arena.bytes = reinterpret_cast<uint8_t*>(base + control->arena);
  arena.policy = S3Fifo(base + control->policy, arena.n_slots());
  arena.locks = locks;
  return arena;
}

/// Makes memory an empty cache. The arena itself is not touched: it costs nothing until used.
void Format(CacheControl* control, const Layout& layout) {
  control->n_frames = layout.n_frames;
  control->n_buckets = layout.n_buckets;
  control->headers = layout.headers;
  control->buckets = layout.buckets;
  control->policy = layout.policy;
  control->arena = layout.arena;
  for (pg_atomic_uint64& counter : control->counters) pg_atomic_init_u64(&counter, 0);
  pg_atomic_init_u64(&control->reset_at, static_cast<uint64>(GetCurrentTimestamp()));
  for (ConditionVariableMinimallyPadded& turnstile : control->turnstiles) {
    ConditionVariableInit(&turnstile.cv);
  }
  Arena arena = ViewOf(control, nullptr);
  for (uint32_t i = 0; i < layout.n_buckets; ++i) pg_atomic_init_u32(&arena.buckets[i], kNoSlot);
  arena.policy.Format();
  for (uint32_t slot = 0; slot < arena.n_slots(); ++slot) {
    const bool image = slot >= layout.n_frames;
    FrameHeader& header = arena.headers[slot];
    memset(static_cast<void*>(&header), 0, sizeof(header));
    pg_atomic_init_u64(&header.state, 0);
    pg_atomic_init_u32(&header.hash, 0);
    pg_atomic_init_u32(&header.next, kNoSlot);
    pg_atomic_init_u32(&header.generation, 0);
    header.first_frame = image ? 0 : slot;
    header.n_frames = image ? 0 : 1;
    header.bucket = kNoSlot;
    header.image = kNoSlot;
    // Taken from the low end; images are placed from the high end.
    arena.policy.PushFree(slot, image ? S3Fifo::Queue::kSpare : S3Fifo::Queue::kFree);
  }
}

extern "C" void vdb_cache_shmem_request() {
  Entry("vdb_cache_shmem_request", [] {
    if (previous_request_hook != nullptr) previous_request_hook();
    RequestAddinShmemSpace(add_size(LayOut(cache_size_kb).total, kArenaAlignment));
    RequestNamedLWLockTranche(kTrancheName, 1 + kPartitions);
  });
}

extern "C" void vdb_cache_shmem_startup() {
  Entry("vdb_cache_shmem_startup", [] {
    if (previous_startup_hook != nullptr) previous_startup_hook();
    const Layout layout = LayOut(cache_size_kb);
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    void* const memory =
        ShmemInitStruct("vdb_ext frame cache", layout.total + kArenaAlignment, &found);
    shared_control = static_cast<CacheControl*>(Align(memory));
    shared_locks = GetNamedLWLockTranche(kTrancheName);
    if (!found) Format(shared_control, layout);
    LWLockRelease(AddinShmemInitLock);
  });
}

/// For a backend of a server that did not preload the library.
CacheControl* MakePrivate() {
  return Call([] {
    const int size_kb = std::min(cache_size_kb, kPrivateKb);
    if (!IsParallelWorker()) {
      ereport(NOTICE,
              (errmsg("vdb_ext is not preloaded: each session has a cache of its own, of %d kB",
                      size_kb),
               errhint("Add vdb_ext to shared_preload_libraries.")));
    }
    const Layout layout = LayOut(size_kb);
    void* const memory = MemoryContextAllocHuge(TopMemoryContext, layout.total + kArenaAlignment);
    auto* control = static_cast<CacheControl*>(Align(memory));
    Format(control, layout);
    return control;
  });
}

}  // namespace

void CacheInit() {
  // A postmaster variable cannot be made later, and without preloading it is not one: each backend
  // reads it when it makes its own cache.
  const bool preloading = process_shared_preload_libraries_in_progress;
  DefineCustomIntVariable(
      "vdb.cache_size", "Sets the memory for decrypted index data.",
      "Shared by all sessions when vdb_ext is in shared_preload_libraries. Otherwise each session "
      "has its own, of at most 16 MB.",
      &cache_size_kb, 150 * 1024, 1024, MAX_KILOBYTES, preloading ? PGC_POSTMASTER : PGC_SIGHUP,
      GUC_UNIT_KB, nullptr, nullptr, nullptr);
  if (!preloading) return;
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = vdb_cache_shmem_request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = vdb_cache_shmem_startup;
}

void EndClaim(const Arena& arena, uint32_t slot) {
  pg_atomic_fetch_add_u32(&arena.headers[slot].generation, 1);
  ConditionVariableBroadcast(arena.TurnstileOf(slot));
}

void Unlink(const Arena& arena, uint32_t slot) {
  FrameHeader& header = arena.headers[slot];
  if (header.bucket == kNoSlot) return;
  const ArenaLock lock = ArenaLock::Bucket(arena, header.bucket);
  // Whoever is reading the chain without the lock stands on this header or passes it: its own next
  // stays.
  pg_atomic_uint32* link = &arena.buckets[header.bucket];
  while (pg_atomic_read_u32(link) != slot) link = &arena.headers[pg_atomic_read_u32(link)].next;
  pg_atomic_write_u32(link, pg_atomic_read_u32(&header.next));
  header.bucket = kNoSlot;
}

const Arena& AttachArena() {
  static Arena* arena = nullptr;
  if (arena == nullptr) {
    CacheControl* const control = shared_control != nullptr ? shared_control : MakePrivate();
    arena = new Arena(ViewOf(control, shared_control != nullptr ? shared_locks : nullptr));
  }
  return *arena;
}

}  // namespace vdb::pg
