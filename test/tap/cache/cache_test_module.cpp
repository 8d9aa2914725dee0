/// A module of its own that drives src/pg/cache from SQL; 003_cache.pl builds and loads it.
///
/// Objects are numbers; what a frame of an object holds follows from both, so that any mix-up
/// shows. The loader can be made to stop: it waits for advisory lock (1, 0), which the test holds.
#include <algorithm>
#include <chrono>
#include <string_view>

#include "base/random.h"
#include "base/strcat.h"
#include "pg/cache/local_pins.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

extern "C" void _PG_init() { vdb::pg::CacheInit(); }

namespace vdb::pg {
namespace {

ObjectKey KeyOf(uint64_t object) {
  SplitMix64 random(object);
  return {{random.Next(), random.Next()}};
}

uint64_t ContentOf(const ObjectKey& object, uint32_t frame) {
  return SplitMix64(object.words[1] ^ frame).Next();
}

void Fill(const ObjectKey& object, uint32_t frame, uint8_t* target) {
  SplitMix64 random(ContentOf(object, frame));
  for (size_t i = 0; i < kFrameBytes; i += 8) {
    const uint64_t word = random.Next();
    memcpy(target + i, &word, 8);
  }
}

/// Some words of it, and the last: a torn or wrong frame does not pass.
bool IsFilled(const ObjectKey& object, uint32_t frame, const uint8_t* bytes) {
  SplitMix64 random(ContentOf(object, frame));
  for (size_t i = 0; i < kFrameBytes; i += 8) {
    const uint64_t word = random.Next();
    if (i % 512 != 0 && i != kFrameBytes - 8) continue;
    if (memcmp(bytes + i, &word, 8) != 0) return false;
  }
  return true;
}

void WaitForTest() {
  Call([] {
    DirectFunctionCall2(pg_advisory_lock_int4, Int32GetDatum(1), Int32GetDatum(0));
    DirectFunctionCall2(pg_advisory_unlock_int4, Int32GetDatum(1), Int32GetDatum(0));
  });
}

class Loader final : public FrameLoader {
 public:
  explicit Loader(bool stops = false, bool fails = false) : stops_(stops), fails_(fails) {}
  Status Prepare(uint32_t) override { return {}; }
  Status Load(std::span<const FrameRequest> requests, std::span<const FrameFill> fills,
              uint64_t* bytes_read) override {
    if (stops_) WaitForTest();
    for (const FrameFill& fill : fills) {
      const FrameRequest& request = requests[fill.request];
      Fill(request.object, request.frame, fill.target);
      *bytes_read += kFrameBytes + 16;
      ++loaded;
    }
    if (fails_) return Corruption("made to fail");
    return {};
  }
  int loaded = 0;

 private:
  bool stops_, fails_;
};

PinSet& Held() {
  static PinSet& held = *new PinSet;
  return held;
}

/// Pins frames [first, first + n), checks them. Returns how many this backend read.
int Pin(uint64_t object, uint32_t first, uint32_t n, FrameKind kind, PinSet* pins, Loader& loader) {
  std::vector<FrameRequest> requests;
  for (uint32_t i = 0; i < n; ++i) requests.push_back({KeyOf(object), first + i, kind});
  std::vector<const uint8_t*> out(n);
  ThrowIfError(FrameCache::Get().Pin(requests, loader, pins, out.data()));
  for (uint32_t i = 0; i < n; ++i) {
    if (!IsFilled(KeyOf(object), first + i, out[i])) ThrowIfError(Internal("wrong bytes"));
  }
  return loader.loaded;
}

constexpr uint32_t kImageNumber = 1u << 31;

/// An image is adjacent frames filled as if they were frames of the object.
bool PinImage(uint64_t object, size_t bytes, bool stops, PinSet* pins) {
  bool built = false;
  const uint8_t* image = nullptr;
  const ObjectKey key = KeyOf(object + kImageNumber);
  const size_t frames = bytes / kFrameBytes;
  ThrowIfError(FrameCache::Get().PinImage(
      key, bytes,
      [&](std::span<uint8_t> target) {
        built = true;
        if (stops) WaitForTest();
        for (uint32_t i = 0; i < frames; ++i) Fill(key, i, target.data() + i * kFrameBytes);
        return Status();
      },
      pins, &image));
  for (uint32_t i = 0; i < frames; ++i) {
    if (!IsFilled(key, i, image + i * kFrameBytes)) ThrowIfError(Internal("wrong bytes in image"));
  }
  return built;
}

}  // namespace
}  // namespace vdb::pg

using vdb::pg::Entry;

/// cache_pin(object, first, n, kind, how): how is '', 'stop' (at the advisory lock) or 'fail'.
VDB_FUNCTION(cache_pin) {
  return Entry("cache_pin", [&] {
    const std::string_view how(
        vdb::pg::Call([&] { return text_to_cstring(PG_GETARG_TEXT_PP(4)); }));
    vdb::pg::PinSet pins;
    vdb::pg::Loader loader(how == "stop", how == "fail");
    return Int32GetDatum(vdb::pg::Pin(PG_GETARG_INT32(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2),
                                      static_cast<vdb::pg::FrameKind>(PG_GETARG_INT32(3)), &pins,
                                      loader));
  });
}

/// cache_hold(object, first, n): pins until cache_release() or the end of the (sub)transaction.
VDB_FUNCTION(cache_hold) {
  return Entry("cache_hold", [&] {
    const ResourceOwner statement = CurrentResourceOwner;
    CurrentResourceOwner = CurTransactionResourceOwner;
    vdb::pg::Loader loader;
    const int loaded = vdb::pg::Pin(PG_GETARG_INT32(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2),
                                    vdb::pg::FrameKind::kFirstCodes, &vdb::pg::Held(), loader);
    CurrentResourceOwner = statement;
    return Int32GetDatum(loaded);
  });
}

VDB_FUNCTION(cache_release) {
  return Entry("cache_release", [&] {
    vdb::pg::Held().Release();
    return Datum{0};
  });
}

/// cache_image(object, frames, stops): whether this backend built it.
VDB_FUNCTION(cache_image) {
  return Entry("cache_image", [&] {
    vdb::pg::PinSet pins;
    return BoolGetDatum(vdb::pg::PinImage(PG_GETARG_INT32(0),
                                          size_t(PG_GETARG_INT32(1)) * vdb::pg::kFrameBytes,
                                          PG_GETARG_BOOL(2), &pins));
  });
}

/// cache_stress(seed, seconds, objects): pins random frames and images of so many objects of 100
/// frames, most often of the first ones, holds some, fails at times. Returns the pins made.
VDB_FUNCTION(cache_stress) {
  return Entry("cache_stress", [&] {
    using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
    vdb::SplitMix64 random(static_cast<uint64_t>(PG_GETARG_INT32(0)));
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(PG_GETARG_FLOAT8(1));
    const uint64_t objects = static_cast<uint64_t>(PG_GETARG_INT32(2));
    int64 pinned = 0;
    PinSet long_pins;
    while (std::chrono::steady_clock::now() < end) {
      Call([] { CHECK_FOR_INTERRUPTS(); });
      const uint64_t object = random.Below(random.Below(objects) + 1);
      PinSet pins;
      PinSet* set = random.Below(16) == 0 ? &long_pins : &pins;
      if (random.Below(20) == 0) {
        PinImage(object, (2 + object % 7) * kFrameBytes, false, set);
        ++pinned;
      } else {
        const auto first = static_cast<uint32_t>(random.Below(90));
        const auto n = static_cast<uint32_t>(1 + random.Below(10));
        const bool fails = random.Below(50) == 0;
        Loader loader(false, fails);
        std::vector<FrameRequest> requests;
        for (uint32_t i = 0; i < n; ++i) {
          requests.push_back({KeyOf(object), first + i, static_cast<FrameKind>(1 + object % 3)});
        }
        std::vector<const uint8_t*> out(n);
        vdb::Status status = FrameCache::Get().Pin(requests, loader, set, out.data());
        if (!status.ok() && !fails) ThrowIfError(std::move(status));
        for (uint32_t i = 0; i < n && status.ok(); ++i) {
          if (!IsFilled(KeyOf(object), first + i, out[i]))
            ThrowIfError(vdb::Internal("wrong bytes"));
        }
        pinned += n;
      }
      if (random.Below(100) == 0) long_pins.Release();
    }
    return Int64GetDatum(pinned);
  });
}

/// cache_audit(): what is wrong with the cache while nobody uses it; '' if nothing.
VDB_FUNCTION(cache_audit) {
  return Entry("cache_audit", [&] {
    using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
    using Queue = S3Fifo::Queue;
    const Arena& arena = AttachArena();
    std::string wrong;
    std::vector<uint32_t> chained(arena.n_slots());
    for (uint32_t bucket = 0; bucket <= arena.bucket_mask; ++bucket) {
      for (uint32_t slot = pg_atomic_read_u32(&arena.buckets[bucket]); slot != kNoSlot;
           slot = pg_atomic_read_u32(&arena.headers[slot].next)) {
        if (++chained[slot] > 1) break;
        if (arena.headers[slot].bucket != bucket) wrong += vdb::StrCat("slot ", slot, " strayed;");
      }
    }
    std::vector<uint32_t> members(arena.n_slots());
    for (uint32_t slot = 0; slot < arena.n_slots(); ++slot) {
      const FrameHeader& header = arena.headers[slot];
      const uint64_t state = pg_atomic_read_u64(&arena.headers[slot].state);
      const Queue queue = arena.policy.queue(slot);
      const bool is_free = queue == Queue::kFree || queue == Queue::kSpare;
      const bool is_valid = queue == Queue::kSmall || queue == Queue::kMain;
      if (header.image != kNoSlot) ++members[header.image];
      if ((state & kPinMask) != 0) wrong += vdb::StrCat("slot ", slot, " is pinned;");
      if (((state & kValid) != 0) != is_valid || (state & kLoading) != 0 ||
          (is_free || is_valid) == (header.image != kNoSlot)) {
        wrong += vdb::StrCat("slot ", slot, " has state ", state >> 32, " in queue ",
                             static_cast<int>(queue), ";");
      }
      if (chained[slot] != (is_valid ? 1 : 0))
        wrong += vdb::StrCat("slot ", slot, " is in ", chained[slot], " chains;");
    }
    for (uint32_t slot = arena.control->n_frames; slot < arena.n_slots(); ++slot) {
      if (members[slot] != arena.headers[slot].n_frames)
        wrong += vdb::StrCat("image ", slot, " has lost frames;");
    }
    return vdb::pg::Call([&] { return PointerGetDatum(cstring_to_text(wrong.c_str())); });
  });
}

/// cache_hit_ns(n, rounds): nanoseconds to pin and unpin a cached frame, n at a time.
VDB_FUNCTION(cache_hit_ns) {
  return Entry("cache_hit_ns", [&] {
    using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
    const auto n = static_cast<uint32_t>(PG_GETARG_INT32(0));
    const int rounds = PG_GETARG_INT32(1);
    std::vector<FrameRequest> requests;
    vdb::SplitMix64 random(1);
    Loader loader;
    const auto objects = n / 100 + 1;
    for (uint32_t i = 0; i < n; ++i) {
      requests.push_back({KeyOf(i % objects), i / objects, FrameKind::kFirstCodes});
    }
    std::vector<const uint8_t*> out(n);
    PinSet pins;
    ThrowIfError(FrameCache::Get().Pin(requests, loader, &pins, out.data()));
    pins.Release();
    // Batches of 150 spread over all of them.
    const uint32_t batch = std::min<uint32_t>(n, 150);
    for (uint32_t i = 0; i < n; ++i) std::swap(requests[i], requests[random.Below(n)]);
    const auto start = std::chrono::steady_clock::now();
    uint64_t done = 0;
    for (int r = 0; r < rounds; ++r) {
      const uint32_t first = static_cast<uint32_t>(random.Below(n - batch + 1));
      ThrowIfError(
          FrameCache::Get().Pin({requests.data() + first, batch}, loader, &pins, out.data()));
      pins.Release();
      done += batch;
    }
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    return Float8GetDatum(time.count() / static_cast<double>(done));
  });
}
