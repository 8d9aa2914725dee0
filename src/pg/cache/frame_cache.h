/// FrameCache: decrypted 16 KiB frames of objects, and routing images, in one fixed arena that all
/// backends share (all indexes, all databases).
///
/// A frame's key is the id of its object, which is the hash of the stored bytes, and its number. So
/// what a key means never changes and nothing is ever invalidated.
///
/// A hit takes no lock: the frame is pinned by one atomic add, then it is checked that it still is
/// the right one (arena.h). A miss claims a free or evicted frame; other backends that want it
/// meanwhile wait for the claim's end, and one of them takes over when it ends in an error. Pins
/// and claims belong to the resource owner that was current when they were taken. Nobody waits
/// while holding a claim, so waits cannot go in circles, and nobody waits for a frame to become
/// free: when all are pinned, frames are read into bounded private memory.
///
/// Without shared_preload_libraries the arena is smaller and private to each backend; the code is
/// the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/retention.h"
#include "engine/s3fifo.h"
#include "format/geometry.h"
#include "pg/pg.h"

namespace vdb::pg {

using engine::FrameKind;
using format::kFrameBytes;

struct Arena;
class LocalPins;

/// The first half of an object's id.
struct ObjectKey {
  uint64_t words[2];
  bool operator==(const ObjectKey&) const = default;

  /// id: at least 16 bytes.
  static ObjectKey Of(const uint8_t* id) {
    ObjectKey key;
    memcpy(key.words, id, sizeof(key.words));
    return key;
  }
};

/// The frame number of an image's key.
inline constexpr uint32_t kImageFrame = UINT32_MAX;

/// A frame or an image that is in the cache. Goes into a file as it is: no padding.
struct CachedFrame {
  ObjectKey object;
  uint32_t frame;     // kImageFrame: an image
  uint32_t n_frames;  // that it takes
  Oid database;       // of whoever brought it in
  FrameKind kind;
  uint8_t uses;  // 0 to 3
  uint16_t unused;
};

struct FrameRequest {
  ObjectKey object;
  uint32_t frame;
  FrameKind kind;
};

/// A frame that has to be read: request number `request` of the Pin call, to kFrameBytes bytes at
/// `target` (64-byte aligned).
struct FrameFill {
  uint32_t request;
  uint8_t* target;
};

/// Reads frames for the cache.
class FrameLoader {
 public:
  virtual ~FrameLoader() = default;
  /// Called before any frame is claimed, with one request that is missing: whatever may take long
  /// or fail and is not the reading itself, such as getting a key.
  virtual Status Prepare(uint32_t request) = 0;
  /// How long others may take to read frames that are wanted here, in ms; less than 0: as long as
  /// they do.
  virtual int PatienceMs() const { return -1; }
  /// Fills all of them and adds the stored bytes read to *bytes_read. May throw ErrorPending; must
  /// not call the cache.
  virtual Status Load(std::span<const FrameRequest> requests, std::span<const FrameFill> fills,
                      uint64_t* bytes_read) = 0;
};

/// Frames that are pinned together and released together: by Release, by the end of the resource
/// owner they were pinned under, or by the end of the process, whichever comes first.
class PinSet {
 public:
  PinSet() = default;
  ~PinSet() { Release(); }
  PinSet(const PinSet&) = delete;
  PinSet& operator=(const PinSet&) = delete;

  /// Unpins all and frees private copies. Calls nothing of PostgreSQL.
  void Release() noexcept;
  bool empty() const { return pins_.empty() && frames_.empty() && images_.empty(); }

 private:
  friend class FrameCache;
  friend class LocalPins;
  struct Pinned {
    uint32_t slot;
    ResourceOwner owner;
  };

  std::vector<Pinned> pins_;
  std::vector<uint8_t*> frames_;              // private copies
  std::vector<struct PrivateImage*> images_;  // likewise
  bool listed_ = false;                       // among the backend's sets with pins
  PinSet *next_ = nullptr, *previous_ = nullptr;
};

/// What vdb.stat_cache shows. Counters since the last reset.
struct CacheStats {
  bool shared;
  uint64_t capacity_bytes, used_bytes;
  uint64_t frames, used_frames, pinned_frames;
  uint64_t hits, misses, evictions, waits, wait_us, private_reads, bytes_read;
  TimestampTz reset_at;
};

/// What this backend has had of the cache since it began.
struct CacheUse {
  uint64_t hits = 0, misses = 0;
  int64_t fetch_ns = 0;  // in getting what was not there, from wherever
};

class FrameCache {
 public:
  /// The backend's view of the cache, made at first use. May throw ErrorPending.
  static FrameCache& Get();

  /// Pins all requested frames and writes their addresses to `out`. Frames that are not there are
  /// read by `loader`: in one call all that no other backend is reading, before waiting for those
  /// that one is. While it waits it holds no pin of this call.
  /// On a failure nothing of this call stays pinned. May throw ErrorPending.
  /// Errors: the loader's; kUnavailable: others took too long; kResourceExhausted: the arena is
  /// full of pinned frames and so is the private memory that a backend may use instead.
  Status Pin(std::span<const FrameRequest> requests, FrameLoader& loader, PinSet* pins,
             const uint8_t** out);

  /// Writes an image to the bytes given, or says why it cannot. May throw ErrorPending; must not
  /// call the cache.
  using ImageBuilder = std::function<Status(std::span<uint8_t>)>;

  /// Pins an image of any size (routing), which lies in adjacent frames; `object` is what it is
  /// built from. Built once for all backends; those that come meanwhile wait. Where no run of
  /// frames can be had, it is built in private memory, and the last such is kept.
  /// prepare: called before anything is claimed when the image has to be built or waited for, like
  /// FrameLoader::Prepare; may be empty. patience_ms: as FrameLoader::PatienceMs.
  /// May throw ErrorPending. Errors: prepare's and the builder's.
  Status PinImage(const ObjectKey& object, size_t bytes, const ImageBuilder& builder, PinSet* pins,
                  const uint8_t** image, const std::function<Status()>& prepare = {},
                  int patience_ms = -1);

  /// Frames that it holds at most.
  size_t capacity() const;

  /// What is in it, most wanted first; what comes and goes meanwhile, or not.
  std::vector<CachedFrame> Contents() const;
  /// Frames with nothing in them.
  size_t free_frames() const;

  /// Zeros before the backend's first use of it. Throws nothing.
  static CacheUse Use() noexcept;

  /// Includes what this backend has counted but not yet told the others.
  CacheStats Stats();
  void ResetStats();

 private:
  struct Key {
    ObjectKey object;
    uint32_t frame;
    uint32_t hash;
  };
  struct Batch;
  enum class Found { kPinned, kLoading, kAbsent };

  FrameCache(const Arena& arena, LocalPins& local) : arena_(arena), local_(local) {}

  static Key KeyOf(const ObjectKey& object, uint32_t frame);
  bool PinSlot(uint32_t slot, const Key& key, FrameKind kind, PinSet* pins);
  void PrefetchHeaders(std::span<const FrameRequest> requests) const;
  const uint8_t* TryPin(const Key& key, FrameKind kind, PinSet* pins);
  Found FindLocked(const Key& key, FrameKind kind, PinSet* pins, uint32_t* slot);
  void LinkLocked(uint32_t slot, const Key& key, FrameKind kind);
  void Publish(uint32_t slot, PinSet* pins);
  Status Wait(uint32_t slot, uint32_t generation, int patience_ms);

  Status PinMissing(Batch& batch);
  void TakeFrames(Batch& batch);
  engine::S3Fifo::Verdict Judge(uint32_t slot, engine::S3Fifo::Queue queue) const;
  void ClaimMissing(Batch& batch);
  Status Load(Batch& batch);
  Status WaitForOthers(Batch& batch);

  // image.cpp
  uint32_t TakeImageSlot();
  bool TakeRun(uint32_t image, uint32_t n_frames);
  uint32_t FindRunLocked(uint32_t n_frames, bool over_images) const;
  bool TakeRunLocked(uint32_t first, uint32_t n_frames, std::vector<uint32_t>* images);
  bool EvictLocked(uint32_t slot);
  Status BuildPrivateImage(const ObjectKey& object, size_t bytes, const ImageBuilder& builder,
                           PinSet* pins, const uint8_t** image);

  const Arena& arena_;
  LocalPins& local_;
};

/// Defines vdb.cache_size and asks for shared memory when the library is being preloaded. For
/// _PG_init.
void CacheInit();

}  // namespace vdb::pg
