#include "engine/s3fifo.h"

#include <cmath>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "base/random.h"
#include "eviction_caches.h"

namespace vdb::engine {
namespace {

using Queue = S3Fifo::Queue;
using Verdict = S3Fifo::Verdict;
using testing::LruCache;
using testing::S3Cache;

TEST(Retention, FramesWorthMoreStayLonger) {
  // Of the main queue, after as many pins as are counted.
  const auto rounds = [](FrameKind kind) {
    uint32_t n = 0;
    for (Fate fate{true, RetentionOf(kind).most_uses}; fate.keep; ++n)
      fate = FateOf(kind, Queue::kMain, fate.uses);
    return n - 1;
  };
  EXPECT_EQ(rounds(FrameKind::kFirstCodes), 3u);
  EXPECT_EQ(rounds(FrameKind::kExCodes), 3u);
  EXPECT_EQ(rounds(FrameKind::kVectors), 1u);
  EXPECT_TRUE(FateOf(FrameKind::kRouting, Queue::kSmall, 1).keep);
  // One search may pin a frame of codes twice.
  EXPECT_FALSE(FateOf(FrameKind::kExCodes, Queue::kSmall, 1).keep);
  EXPECT_TRUE(FateOf(FrameKind::kExCodes, Queue::kSmall, 2).keep);
  EXPECT_FALSE(FateOf(FrameKind::kVectors, Queue::kSmall, 1).keep);
  EXPECT_EQ(FateOf(FrameKind::kFirstCodes, Queue::kSmall, 3).uses, 0u);
}

TEST(S3FifoTest, UsedSlotsSurviveAScan) {
  S3Cache cache(100);
  for (int pins = 0; pins < 3; ++pins) {
    for (uint32_t key = 0; key < 50; ++key) cache.Get(key);
  }
  for (uint32_t key = 1000; key < 11000; ++key) cache.Get(key);
  for (uint32_t key = 0; key < 50; ++key) EXPECT_TRUE(cache.Has(key)) << key;
  // And the scan's end is what the small queue holds.
  EXPECT_TRUE(cache.Has(10999));
  EXPECT_FALSE(cache.Has(1000));
}

TEST(S3FifoTest, ComesBackFromTheGhostsIntoMain) {
  S3Cache cache(100);
  for (uint32_t key = 0; key < 150; ++key) cache.Get(key);
  ASSERT_FALSE(cache.Has(0));
  const uint32_t main = cache.fifo().size(Queue::kMain);
  EXPECT_FALSE(cache.Get(0));
  EXPECT_EQ(cache.fifo().size(Queue::kMain), main + 1);
  // What was never there starts in small.
  const uint32_t small = cache.fifo().size(Queue::kSmall);
  cache.Get(5000);
  EXPECT_EQ(cache.fifo().size(Queue::kMain), main + 1);
  EXPECT_EQ(cache.fifo().size(Queue::kSmall), small);
}

TEST(S3FifoTest, GhostsAreForgottenAfterACacheFullOfEvictions) {
  S3Cache cache(100);
  for (uint32_t key = 0; key < 150; ++key) cache.Get(key);
  for (uint32_t key = 1000; key < 1300; ++key) cache.Get(key);
  cache.Get(0);
  EXPECT_EQ(cache.fifo().size(Queue::kMain), 0u);
}

TEST(S3FifoTest, PinnedSlotsStayAndAllPinnedGivesUp) {
  S3Cache cache(10);
  for (uint32_t key = 0; key < 10; ++key) cache.Get(key);
  for (uint32_t key = 0; key < 9; ++key) cache.Pin(key, true);
  for (uint32_t key = 100; key < 200; ++key) cache.Get(key);
  for (uint32_t key = 0; key < 9; ++key) EXPECT_TRUE(cache.Has(key));
  cache.Pin(199, true);
  EXPECT_EQ(cache.Evict(), kNoSlot);
  cache.Pin(4, false);
  EXPECT_NE(cache.Evict(), kNoSlot);
}

TEST(S3FifoTest, RemoveFromTheMiddleOfAnyQueue) {
  AlignedBuffer<uint8_t> memory(S3Fifo::Bytes(6));
  S3Fifo fifo(memory.data(), 6);
  fifo.Format();
  for (uint32_t slot = 0; slot < 6; ++slot)
    fifo.PushFree(slot, slot == 5 ? Queue::kSpare : Queue::kFree);
  EXPECT_EQ(fifo.PopFree(Queue::kSpare), 5u);
  EXPECT_EQ(fifo.PopFree(Queue::kSpare), kNoSlot);
  for (const uint32_t slot : {2u, 0u, 4u}) {
    fifo.Remove(slot);
    EXPECT_EQ(fifo.queue(slot), Queue::kNone);
    fifo.Remove(slot);
  }
  EXPECT_EQ(fifo.size(Queue::kFree), 2u);
  EXPECT_EQ(fifo.PopFree(), 1u);
  EXPECT_EQ(fifo.PopFree(), 3u);
  EXPECT_EQ(fifo.PopFree(), kNoSlot);
}

TEST(S3FifoTest, BothQueuesEmptyEndsAtOnce) {
  S3Cache cache(4);
  uint32_t steps = 100, skips = 100;
  EXPECT_EQ(cache.fifo().Evict([](uint32_t, Queue) { return Verdict::kEvict; }, &steps, &skips),
            kNoSlot);
  EXPECT_EQ(steps, 100u);
}

// The trace that the frame cache has in mind: searches read lists near a topic, topics have a Zipf
// popularity, and now and then somebody scans everything.
TEST(S3FifoTest, BeatsLruOnSearchesWithScans) {
  constexpr uint64_t kSeed = 20240607;
  RecordProperty("seed", std::to_string(kSeed));
  SplitMix64 random(kSeed);
  constexpr uint32_t kFrames = 5000, kCache = 500;
  S3Cache s3(kCache);
  LruCache lru(kCache);
  uint64_t s3_hits = 0, lru_hits = 0, reads = 0;
  const auto get = [&](uint32_t key) {
    s3_hits += s3.Get(key);
    lru_hits += lru.Get(key);
    ++reads;
  };
  for (int search = 0; search < 20000; ++search) {
    const auto topic = static_cast<uint32_t>(std::pow(kFrames, random.Unit())) - 1;
    for (uint32_t i = 0; i < 8; ++i)
      get((topic * 7919 + static_cast<uint32_t>(random.Below(24))) % kFrames);
    if (search % 500 == 499) {
      for (uint32_t key = 0; key < kFrames; ++key) get(key);
    }
  }
  EXPECT_GT(s3_hits, lru_hits + reads / 50)
      << "S3-FIFO " << s3_hits << ", LRU " << lru_hits << " of " << reads << ", seed " << kSeed;
}

// Recorded from searches of a real index: test/data/README.md.
TEST(S3FifoTest, BeatsLruOnARecordedTrace) {
  std::ifstream file(VDB_TEST_DATA_DIR "/wordnet-frames.u16", std::ios::binary);
  std::vector<uint16_t> trace;
  for (char bytes[2]; file.read(bytes, 2);) {
    trace.push_back(static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) |
                                          static_cast<uint8_t>(bytes[1]) << 8));
  }
  ASSERT_EQ(trace.size(), 60000u);
  for (const uint32_t frames : {40u, 80u, 120u, 200u}) {
    S3Cache s3(frames);
    LruCache lru(frames);
    size_t s3_misses = 0, lru_misses = 0;
    for (const uint16_t key : trace) {
      s3_misses += !s3.Get(key, key >> 15 ? FrameKind::kExCodes : FrameKind::kFirstCodes);
      lru_misses += !lru.Get(key);
    }
    EXPECT_LT(static_cast<double>(s3_misses), 0.93 * static_cast<double>(lru_misses))
        << frames << " frames: S3-FIFO " << s3_misses << ", LRU " << lru_misses;
  }
}

}  // namespace
}  // namespace vdb::engine
