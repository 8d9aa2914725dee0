/// S3Fifo: which cached frame goes next. Two FIFO queues and a memory of what has gone.
///
/// A new slot enters the small queue, a tenth of the cache. At its end a slot that was used moves
/// to the main queue; one that was not is evicted and its fingerprint remembered (ghost). A slot
/// whose fingerprint is remembered enters the main queue at once. At the end of the main queue a
/// slot that was used goes round again with one use less. So a scan, whose slots are used once,
/// passes through the small queue and leaves the main queue alone; and a use costs no more than a
/// bit in the slot's own state, which the caller keeps.
///
/// The state lies in memory that the caller gives (it may be shared: no pointers inside), and the
/// caller serialises all calls.
///
/// Source:  Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace vdb::engine {

inline constexpr uint32_t kNoSlot = UINT32_MAX;

class S3Fifo {
 public:
  /// What the owner of the slots says about the slot at the end of a queue.
  enum class Verdict {
    kEvict,  // unused: the owner has taken it, it leaves the queue
    kKeep,   // used: to main, or round again
    kSkip,   // pinned: round again in its queue
  };
  /// kSpare is a second free list, for slots that are of another sort.
  enum class Queue : uint32_t { kNone = 0, kFree, kSpare, kSmall, kMain };

  /// Bytes for n slots, a multiple of 64. Memory is aligned to 64.
  static constexpr size_t Bytes(uint32_t n) {
    const size_t bytes = sizeof(State) + size_t{n} * sizeof(Slot) +
                         size_t{GhostSets(n)} * kGhostWays * sizeof(Ghost);
    return (bytes + 63) / 64 * 64;
  }

  S3Fifo() = default;
  /// A view of memory that Format has been called on, or is about to be.
  S3Fifo(void* memory, uint32_t n)
      : n_(n),
        state_(static_cast<State*>(memory)),
        slots_(reinterpret_cast<Slot*>(state_ + 1)),
        ghosts_(reinterpret_cast<Ghost*>(slots_ + n)),
        ghost_sets_(GhostSets(n)) {}

  /// All slots outside the queues, nothing remembered.
  void Format() {
    *state_ = State{};
    for (uint32_t i = 0; i < n_; ++i) slots_[i] = {kNoSlot, kNoSlot, 0, Queue::kNone};
    for (uint32_t i = 0; i < ghost_sets_ * kGhostWays; ++i) ghosts_[i] = {0, 0};
  }

  uint32_t size(Queue which) const { return list(which).size; }
  Queue queue(uint32_t slot) const { return slots_[slot].queue; }

  /// A free slot, now outside the queues; kNoSlot: there is none.
  uint32_t PopFree(Queue from = Queue::kFree) {
    const uint32_t slot = list(from).tail;
    if (slot != kNoSlot) Remove(slot);
    return slot;
  }
  void PushFree(uint32_t slot, Queue to = Queue::kFree) { PushHead(to, slot); }

  /// Puts a slot that is in no queue into small, or into main if `fingerprint` has lately gone.
  void Insert(uint32_t slot, uint32_t fingerprint) {
    slots_[slot].fingerprint = fingerprint;
    PushHead(Forget(fingerprint) ? Queue::kMain : Queue::kSmall, slot);
  }
  void InsertMain(uint32_t slot, uint32_t fingerprint) {
    slots_[slot].fingerprint = fingerprint;
    PushHead(Queue::kMain, slot);
  }

  /// Takes a slot out of whichever queue it is in.
  void Remove(uint32_t slot) {
    Slot& s = slots_[slot];
    if (s.queue == Queue::kNone) return;
    List& l = list(s.queue);
    (s.newer == kNoSlot ? l.head : slots_[s.newer].older) = s.older;
    (s.older == kNoSlot ? l.tail : slots_[s.older].newer) = s.newer;
    --l.size;
    s.queue = Queue::kNone;
  }

  /// Looks at the ends of the queues until judge(slot, queue) lets one go, which is returned, in no
  /// queue. kNoSlot after *steps looks, or when `max_skips` slots in a row were pinned. Takes what
  /// it used from both.
  template <class Judge>
  uint32_t Evict(Judge&& judge, uint32_t* steps, uint32_t* max_skips) {
    bool other = false;
    while (*steps > 0 && *max_skips > 0) {
      const bool small_is_full = size(Queue::kSmall) > n_ / kSmallShare;
      Queue from = small_is_full != other ? Queue::kSmall : Queue::kMain;
      if (size(from) == 0) from = from == Queue::kSmall ? Queue::kMain : Queue::kSmall;
      const uint32_t slot = list(from).tail;
      if (slot == kNoSlot) return kNoSlot;
      --*steps;
      const Verdict verdict = judge(slot, from);
      Remove(slot);
      if (verdict == Verdict::kEvict) {
        if (from == Queue::kSmall) Remember(slots_[slot].fingerprint);
        return slot;
      }
      PushHead(verdict == Verdict::kKeep ? Queue::kMain : from, slot);
      // Where one queue ends in pinned slots, the other may not.
      other = verdict == Verdict::kSkip && !other;
      if (verdict == Verdict::kSkip) --*max_skips;
    }
    return kNoSlot;
  }

 private:
  // The paper finds 10 % good over thousands of traces, and the exact share unimportant.
  static constexpr uint32_t kSmallShare = 10;
  static constexpr uint32_t kGhostWays = 4;

  struct List {
    uint32_t head = kNoSlot, tail = kNoSlot, size = 0;
  };
  struct alignas(64) State {
    List lists[5];
    uint32_t clock = 1;  // evictions from small
  };
  struct Slot {
    uint32_t newer, older, fingerprint;
    Queue queue;
  };
  struct Ghost {
    uint32_t fingerprint, time;
  };
  static_assert(std::is_trivially_copyable_v<State>);

  /// Room for as many ghosts as slots, in sets of four.
  static constexpr uint32_t GhostSets(uint32_t n) {
    uint32_t sets = 1;
    while (sets * kGhostWays < n) sets *= 2;
    return sets;
  }

  List& list(Queue which) { return state_->lists[static_cast<uint32_t>(which)]; }
  const List& list(Queue which) const { return state_->lists[static_cast<uint32_t>(which)]; }

  void PushHead(Queue to, uint32_t slot) {
    List& l = list(to);
    Slot& s = slots_[slot];
    s.queue = to;
    s.newer = kNoSlot;
    s.older = l.head;
    (l.head == kNoSlot ? l.tail : slots_[l.head].newer) = slot;
    l.head = slot;
    ++l.size;
  }

  Ghost* GhostSet(uint32_t fingerprint) {
    return ghosts_ + size_t{fingerprint % ghost_sets_} * kGhostWays;
  }
  /// Overwrites the oldest of its set.
  void Remember(uint32_t fingerprint) {
    Ghost* const set = GhostSet(fingerprint);
    Ghost* oldest = set;
    for (uint32_t i = 0; i < kGhostWays; ++i) {
      if (set[i].fingerprint == fingerprint || set[i].time == 0) {
        oldest = &set[i];
        break;
      }
      if (state_->clock - set[i].time > state_->clock - oldest->time) oldest = &set[i];
    }
    if (++state_->clock == 0) state_->clock = 1;
    *oldest = {fingerprint, state_->clock};
  }
  /// Whether it was remembered, and has gone not longer than a cache full of evictions ago.
  bool Forget(uint32_t fingerprint) {
    Ghost* const set = GhostSet(fingerprint);
    for (uint32_t i = 0; i < kGhostWays; ++i) {
      if (set[i].time == 0 || set[i].fingerprint != fingerprint) continue;
      const bool recent = state_->clock - set[i].time <= n_;
      set[i].time = 0;
      return recent;
    }
    return false;
  }

  uint32_t n_ = 0;
  State* state_ = nullptr;
  Slot* slots_ = nullptr;
  Ghost* ghosts_ = nullptr;
  uint32_t ghost_sets_ = 0;
};

}  // namespace vdb::engine
