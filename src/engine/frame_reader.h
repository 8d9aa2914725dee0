/// FrameReader: frames of objects in a store, read in few requests and opened as they come in.
///
/// Adjacent frames, and those with small gaps between them, come in one request; all requests of a
/// round are under way at once. No byte is handed out that is not what was sealed at that place of
/// that object: a frame that does not open is fetched once more (RangeSink), and then is an error.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "crypto/object_cipher.h"
#include "store/object_store.h"

namespace vdb::engine {

/// An object in a store, and what opens its frames.
struct StoredObject {
  store::ObjectRef ref;
  uint64_t plain_bytes;
  crypto::ObjectCipher cipher;
};

/// A frame to read, and where its plaintext goes: at most kFrameBytes.
struct StoredFrame {
  const StoredObject* object;
  uint32_t frame;
  uint8_t* target;
};

class FrameReader {
 public:
  struct Limits {
    uint64_t max_range_bytes;  // of one request
    size_t max_connections;    // requests beyond wait for each other
    int timeout_ms;            // of a round
  };
  /// What has been asked for.
  struct Reads {
    uint64_t rounds = 0;    // times it waited for answers
    uint64_t requests = 0;  // ranges, without retries
    uint64_t bytes = 0;     // stored
  };
  /// The kCorruption that says which frame does not open.
  using Unauthentic = std::function<Status(const StoredFrame& frame)>;

  FrameReader(store::ObjectStore* store, const Limits& limits, Unauthentic unauthentic)
      : store_(store), limits_(limits), unauthentic_(std::move(unauthentic)) {}

  /// Reads all. After an error a target holds its frame, zeros, or what it held before.
  /// Pre: frames in order of object (each object's together) and frame, each frame in its object.
  /// Errors: as ObjectStore::GetRanges.
  Status Read(std::span<const StoredFrame> frames, Reads* reads);

 private:
  class Round;

  store::ObjectStore* store_;
  Limits limits_;
  Unauthentic unauthentic_;
};

}  // namespace vdb::engine
