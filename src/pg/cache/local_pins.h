/// LocalPins: what this backend holds in the cache, so that it is given back whatever happens:
/// sets of pins, claims (frames in this backend's hands), private memory, and counts not yet told.
///
/// A resource owner's end releases what was taken under it; the end of the process (also by FATAL,
/// which unwinds nothing) releases the rest.
#pragma once

#include "base/aligned.h"
#include "base/clock.h"
#include "pg/cache/arena.h"

namespace vdb::pg {

/// An image in private memory, because no run of frames could be had.
struct PrivateImage {
  ObjectKey object;
  AlignedBuffer<uint8_t> bytes;
  uint32_t uses;  // by PinSets
};

class LocalPins {
 public:
  /// Made, and its callbacks registered, at first use. May throw ErrorPending.
  static LocalPins& Get(const Arena& arena);
  /// Null before the first Get.
  static LocalPins* IfMade() { return instance_; }

  /// Makes room for n more pins, so that recording them cannot fail.
  void Reserve(PinSet* pins, size_t n);
  void ReserveClaims(size_t n) { claims_.reserve(claims_.size() + n); }

  /// Pre: reserved. Recorded before the slot is taken, with the current resource owner.
  void AddClaim(uint32_t slot) { claims_.push_back({slot, CurrentResourceOwner}); }
  /// The claim has become something else: a valid frame, or part of an image.
  void DropClaim(uint32_t slot) noexcept;
  /// Gives the slot back: out of its chain, free, waiters woken. Frees an image's frames as well.
  void AbandonClaim(uint32_t slot) noexcept;
  size_t claims() const { return claims_.size(); }
  void DropLastClaims(size_t n) noexcept { claims_.resize(claims_.size() - n); }
  void AbandonLastClaim() noexcept { AbandonClaim(claims_.back().slot); }

  /// Bytes for one frame, counted against the limit; owned by `pins`. Null: over the limit.
  uint8_t* BorrowFrame(PinSet* pins);
  static size_t PrivateLimitBytes();

  PrivateImage* FindImage(const ObjectKey& object) const;
  /// Keeps a new image, with one use by `pins`, in place of the unused ones.
  void AddImage(PrivateImage* image, PinSet* pins);
  void UseImage(PrivateImage* image, PinSet* pins);

  void Count(Counter counter, uint64_t n = 1) { pending_[counter] += n; }
  void FlushCounters() noexcept;
  /// All that has been counted, told or not.
  uint64_t Counted(Counter counter) const { return told_[counter] + pending_[counter]; }
  int64_t fetch_ns() const { return fetch_ns_; }
  void AddFetchTime(int64_t ns) { fetch_ns_ += ns; }

  void ReleaseFrom(PinSet* pins, size_t first) noexcept;
  void ReleaseAllOf(PinSet* pins) noexcept;
  /// Everything taken under `owner`, or under any.
  void ReleaseOwner(ResourceOwner owner, bool leak_is_a_bug) noexcept;
  void ReleaseEverything() noexcept;

 private:
  struct Claim {
    uint32_t slot = kNoSlot;
    ResourceOwner owner = nullptr;
  };

  explicit LocalPins(const Arena& arena) : arena_(arena) {}
  void Unlist(PinSet* pins) noexcept;
  template <class Wanted>
  void ReleaseWhere(Wanted&& wanted, bool leak_is_a_bug) noexcept;

  static LocalPins* instance_;
  const Arena& arena_;
  PinSet* sets_ = nullptr;  // those that may have pins
  std::vector<Claim> claims_;
  std::vector<PrivateImage*> images_;
  size_t private_bytes_ = 0;
  uint64_t pending_[kCounters] = {};  // not yet told the others
  uint64_t told_[kCounters] = {};
  int64_t fetch_ns_ = 0;
};

/// Its life is time spent in fetching.
class FetchTime {
 public:
  explicit FetchTime(LocalPins& local) : local_(local), start_ns_(NowNs()) {}
  ~FetchTime() { local_.AddFetchTime(NowNs() - start_ns_); }
  FetchTime(const FetchTime&) = delete;
  FetchTime& operator=(const FetchTime&) = delete;

 private:
  LocalPins& local_;
  int64_t start_ns_;
};

}  // namespace vdb::pg
