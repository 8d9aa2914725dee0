#include "pg/cache/local_pins.h"

#include <algorithm>

#include "pg/guard.h"

namespace vdb::pg {

LocalPins* LocalPins::instance_ = nullptr;

extern "C" {

// On 17 and later ResourceOwnerDesc would do the same; these callbacks work on all.
static void vdb_cache_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
                              void*) noexcept {
  LocalPins* const local = LocalPins::IfMade();
  if (phase == RESOURCE_RELEASE_BEFORE_LOCKS) {
    local->ReleaseOwner(CurrentResourceOwner, is_commit);
  } else if (phase == RESOURCE_RELEASE_AFTER_LOCKS && is_top_level) {
    local->FlushCounters();
  }
}

static void vdb_cache_exit(int, Datum) noexcept {
  LocalPins::IfMade()->ReleaseEverything();
  LocalPins::IfMade()->FlushCounters();
}

}  // extern "C"

LocalPins& LocalPins::Get(const Arena& arena) {
  if (instance_ == nullptr) {
    instance_ = new LocalPins(arena);
    // Both are for good: there is no unloading a library.
    Call([] {
      RegisterResourceReleaseCallback(vdb_cache_release, nullptr);
      before_shmem_exit(vdb_cache_exit, Datum{0});
    });
  }
  return *instance_;
}

void LocalPins::Reserve(PinSet* pins, size_t n) {
  const size_t needed = pins->pins_.size() + n;
  if (pins->pins_.capacity() < needed) pins->pins_.reserve(std::max(needed, needed * 3 / 2));
  if (pins->listed_) return;
  pins->listed_ = true;
  pins->next_ = sets_;
  pins->previous_ = nullptr;
  if (sets_ != nullptr) sets_->previous_ = pins;
  sets_ = pins;
}

void LocalPins::Unlist(PinSet* pins) noexcept {
  if (!pins->listed_) return;
  (pins->previous_ != nullptr ? pins->previous_->next_ : sets_) = pins->next_;
  if (pins->next_ != nullptr) pins->next_->previous_ = pins->previous_;
  pins->listed_ = false;
}

void LocalPins::ReleaseFrom(PinSet* pins, size_t first) noexcept {
  for (size_t i = first; i < pins->pins_.size(); ++i) {
    pg_atomic_fetch_sub_u64(&arena_.headers[pins->pins_[i].slot].state, 1);
  }
  pins->pins_.resize(std::min(first, pins->pins_.size()));
}

void LocalPins::ReleaseAllOf(PinSet* pins) noexcept {
  ReleaseFrom(pins, 0);
  for (uint8_t* frame : pins->frames_) {
    ::operator delete (frame, std::align_val_t{kCacheLine});
    private_bytes_ -= kFrameBytes;
  }
  pins->frames_.clear();
  // The last private image is kept for the next scan, whoever else has gone.
  for (PrivateImage* image : pins->images_) {
    if (--image->uses > 0 || image == images_.back()) continue;
    std::erase(images_, image);
    delete image;
  }
  pins->images_.clear();
  Unlist(pins);
}

void LocalPins::DropClaim(uint32_t slot) noexcept {
  // The latest are at the end.
  for (size_t i = claims_.size(); i-- > 0;) {
    if (claims_[i].slot != slot) continue;
    claims_[i] = claims_.back();
    claims_.pop_back();
    return;
  }
}

void LocalPins::AbandonClaim(uint32_t slot) noexcept {
  FrameHeader& header = arena_.headers[slot];
  Unlink(arena_, slot);
  pg_atomic_fetch_and_u64(&header.state, kPinMask);
  // While the slot is still ours: its next claim must not be mistaken for this one.
  EndClaim(arena_, slot);
  {
    const ArenaLock lock = ArenaLock::Policy(arena_);
    arena_.policy.Remove(slot);
    if (arena_.IsImage(slot)) {
      for (uint32_t i = 0; i < header.n_frames; ++i) {
        arena_.headers[header.first_frame + i].image = kNoSlot;
        arena_.policy.PushFree(header.first_frame + i);
      }
      header.n_frames = 0;
      arena_.policy.PushFree(slot, S3Fifo::Queue::kSpare);
    } else {
      arena_.policy.PushFree(slot);
    }
  }
  DropClaim(slot);
}

size_t LocalPins::PrivateLimitBytes() {
  return std::max<size_t>(size_t{16} << 20, static_cast<size_t>(work_mem) * 1024);
}

uint8_t* LocalPins::BorrowFrame(PinSet* pins) {
  if (private_bytes_ + kFrameBytes > PrivateLimitBytes()) return nullptr;
  pins->frames_.reserve(pins->frames_.size() + 1);
  auto* frame = static_cast<uint8_t*>(::operator new (kFrameBytes, std::align_val_t{kCacheLine}));
  pins->frames_.push_back(frame);
  private_bytes_ += kFrameBytes;
  return frame;
}

PrivateImage* LocalPins::FindImage(const ObjectKey& object) const {
  for (PrivateImage* image : images_) {
    if (image->object == object) return image;
  }
  return nullptr;
}

void LocalPins::UseImage(PrivateImage* image, PinSet* pins) {
  pins->images_.push_back(image);
  ++image->uses;
}

void LocalPins::AddImage(PrivateImage* image, PinSet* pins) {
  images_.reserve(images_.size() + 1);
  pins->images_.reserve(pins->images_.size() + 1);
  std::erase_if(images_, [](PrivateImage* old) {
    if (old->uses > 0) return false;
    delete old;
    return true;
  });
  images_.push_back(image);
  UseImage(image, pins);
}

void LocalPins::FlushCounters() noexcept {
  for (int i = 0; i < kCounters; ++i) {
    if (pending_[i] == 0) continue;
    pg_atomic_fetch_add_u64(&arena_.control->counters[i], static_cast<int64>(pending_[i]));
    told_[i] += pending_[i];
    pending_[i] = 0;
  }
}

template <class Wanted>
void LocalPins::ReleaseWhere(Wanted&& wanted, bool leak_is_a_bug) noexcept {
  size_t leaked = 0;
  for (size_t i = claims_.size(); i-- > 0;) {
    // AbandonClaim moves the last claim, which has been looked at, to this place.
    if (wanted(claims_[i].owner)) AbandonClaim(claims_[i].slot);
  }
  for (PinSet* pins = sets_; pins != nullptr; pins = pins->next_) {
    leaked += std::erase_if(pins->pins_, [&](const PinSet::Pinned& pin) {
      if (!wanted(pin.owner)) return false;
      pg_atomic_fetch_sub_u64(&arena_.headers[pin.slot].state, 1);
      return true;
    });
  }
  if (leaked > 0 && leak_is_a_bug) {
    elog(WARNING, "vdb cache: %zu frames were still pinned at commit", leaked);
  }
}

void LocalPins::ReleaseOwner(ResourceOwner owner, bool leak_is_a_bug) noexcept {
  if (sets_ == nullptr && claims_.empty()) return;
  ReleaseWhere([owner](ResourceOwner o) { return o == owner; }, leak_is_a_bug);
}

void LocalPins::ReleaseEverything() noexcept {
  ReleaseWhere([](ResourceOwner) { return true; }, false);
}

void PinSet::Release() noexcept {
  // Before the first Pin there is nothing to release.
  if (LocalPins* const local = LocalPins::IfMade()) local->ReleaseAllOf(this);
}

}  // namespace vdb::pg
