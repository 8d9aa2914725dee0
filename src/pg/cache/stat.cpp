// What SQL sees of the cache: vdb.stat_cache and vdb.reset_stat_cache().
#include "pg/cache/local_pins.h"
#include "pg/compat.h"
#include "pg/guard.h"

namespace vdb::pg {

size_t FrameCache::capacity() const { return arena_.control->n_frames; }

CacheStats FrameCache::Stats() {
  local_.FlushCounters();
  CacheStats stats = {};
  const CacheControl& control = *arena_.control;
  const auto count = [&control](Counter counter) {
    return pg_atomic_read_u64(const_cast<pg_atomic_uint64*>(&control.counters[counter]));
  };
  stats.shared = arena_.shared;
  stats.frames = control.n_frames;
  stats.capacity_bytes = stats.frames * kFrameBytes;
  {
    const ArenaLock lock = ArenaLock::Policy(arena_);
    stats.used_frames = stats.frames - arena_.policy.size(S3Fifo::Queue::kFree);
  }
  stats.used_bytes = stats.used_frames * kFrameBytes;
  for (uint32_t slot = 0; slot < arena_.n_slots(); ++slot) {
    const uint64_t state = pg_atomic_read_u64(&arena_.headers[slot].state);
    if ((state & kValid) != 0 && (state & kPinMask) != 0) {
      stats.pinned_frames += arena_.headers[slot].n_frames;
    }
  }
  stats.hits = count(kHits);
  stats.misses = count(kMisses);
  stats.evictions = count(kEvictions);
  stats.waits = count(kWaits);
  stats.wait_us = count(kWaitMicroseconds);
  stats.private_reads = count(kPrivateReads);
  stats.bytes_read = count(kBytesRead);
  stats.reset_at = static_cast<TimestampTz>(
      pg_atomic_read_u64(const_cast<pg_atomic_uint64*>(&control.reset_at)));
  return stats;
}

void FrameCache::ResetStats() {
  local_.FlushCounters();
  CacheControl& control = *arena_.control;
  for (pg_atomic_uint64& counter : control.counters) pg_atomic_write_u64(&counter, 0);
  pg_atomic_write_u64(&control.reset_at, static_cast<uint64>(GetCurrentTimestamp()));
}

}  // namespace vdb::pg

/// vdb.stat_cache() returns one row, the columns of the view vdb.stat_cache.
VDB_FUNCTION(vdb_stat_cache) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry("vdb_stat_cache", [&] {
    const CacheStats stats = FrameCache::Get().Stats();
    return Call([&] {
      TupleDesc descriptor;
      if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "return type must be a row type");
      }
      const auto number = [](uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); };
      Datum values[] = {
          BoolGetDatum(stats.shared),
          number(stats.capacity_bytes),
          number(stats.used_bytes),
          number(stats.pinned_frames * kFrameBytes),
          number(stats.hits),
          number(stats.misses),
          number(stats.evictions),
          number(stats.waits),
          Float8GetDatum(static_cast<double>(stats.wait_us) / 1000.0),
          number(stats.private_reads),
          number(stats.bytes_read),
          TimestampTzGetDatum(stats.reset_at),
      };
      bool nulls[lengthof(values)] = {};
      return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
    });
  });
}

VDB_FUNCTION(vdb_reset_stat_cache) {
  return vdb::pg::Entry("vdb_reset_stat_cache", [] {
    vdb::pg::FrameCache::Get().ResetStats();
    return Datum{0};
  });
}
