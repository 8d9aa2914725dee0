// Caches of numbers, to replay traces with: one that evicts as the frame cache does, and plain LRU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "base/aligned.h"
#include "engine/retention.h"
#include "engine/s3fifo.h"

namespace vdb::testing {

class S3Cache {
 public:
  explicit S3Cache(uint32_t n)
      : memory_(engine::S3Fifo::Bytes(n)), fifo_(memory_.data(), n), slots_(n) {
    fifo_.Format();
    for (uint32_t slot = 0; slot < n; ++slot) fifo_.PushFree(slot);
  }

  /// Whether `key` was there; it is now.
  bool Get(uint32_t key, engine::FrameKind kind = engine::FrameKind::kFirstCodes) {
    if (const auto found = where_.find(key); found != where_.end()) {
      Slot& slot = slots_[found->second];
      slot.uses = std::min<uint32_t>(slot.uses + 1, engine::RetentionOf(slot.kind).most_uses);
      return true;
    }
    uint32_t slot = fifo_.PopFree();
    if (slot == engine::kNoSlot) {
      slot = Evict();
      where_.erase(slots_[slot].key);
    }
    slots_[slot] = {key, 0, kind, false};
    where_[key] = slot;
    fifo_.Insert(slot, key * 0x9e3779b9u);
    return false;
  }

  uint32_t Evict() {
    using Verdict = engine::S3Fifo::Verdict;
    uint32_t steps = 10 * static_cast<uint32_t>(slots_.size()),
             skips = 2 * static_cast<uint32_t>(slots_.size());
    return fifo_.Evict(
        [this](uint32_t slot, engine::S3Fifo::Queue queue) {
          Slot& s = slots_[slot];
          if (s.pinned) return Verdict::kSkip;
          const engine::Fate fate = engine::FateOf(s.kind, queue, s.uses);
          s.uses = fate.uses;
          return fate.keep ? Verdict::kKeep : Verdict::kEvict;
        },
        &steps, &skips);
  }

  bool Has(uint32_t key) const { return where_.contains(key); }
  void Pin(uint32_t key, bool pinned) { slots_[where_.at(key)].pinned = pinned; }
  engine::S3Fifo& fifo() { return fifo_; }

 private:
  struct Slot {
    uint32_t key, uses;
    engine::FrameKind kind;
    bool pinned;
  };
  AlignedBuffer<uint8_t> memory_;
  engine::S3Fifo fifo_;
  std::vector<Slot> slots_;
  std::unordered_map<uint32_t, uint32_t> where_;
};

class LruCache {
 public:
  explicit LruCache(uint32_t n) : n_(n) {}
  /// Whether `key` was there; it is now.
  bool Get(uint32_t key) {
    if (const auto found = where_.find(key); found != where_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return true;
    }
    if (order_.size() == n_) {
      where_.erase(order_.back());
      order_.pop_back();
    }
    order_.push_front(key);
    where_[key] = order_.begin();
    return false;
  }

 private:
  size_t n_;
  std::list<uint32_t> order_;
  std::unordered_map<uint32_t, std::list<uint32_t>::iterator> where_;
};

}  // namespace vdb::testing
