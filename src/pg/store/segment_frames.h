/// SegmentFrames: frames of one segment's chunks, pinned in the cache, and read from where the
/// index keeps them when they are missing.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "index/searcher.h"
#include "pg/cache/frame_cache.h"
#include "pg/store/object_reader.h"

namespace vdb::pg {

class SegmentFrames {
 public:
  /// All must outlive it. Costs nothing until a frame has to be read.
  SegmentFrames(Relation index, const MetaPage& meta, const SegmentEntry& segment, ObjectKeys& keys)
      : index_(index), meta_(meta), segment_(segment), keys_(keys) {}

  /// FrameRef::object counts the segment's chunks from 0. Writes the frames' addresses; those that
  /// are missing are read together. May throw ErrorPending.
  /// Errors: kInternal: no such chunk; those of the cache and of the reader.
  Status Pin(std::span<const index::FrameRef> frames, PinSet* pins, const uint8_t** addresses);

  /// The same, but reads nothing. False: frames are missing, nothing is pinned.
  Result<bool> PinCached(std::span<const index::FrameRef> frames, PinSet* pins,
                         const uint8_t** addresses);

 private:
  class Loader;

  /// To requests_.
  Status Request(std::span<const index::FrameRef> frames);

  Relation index_;
  const MetaPage& meta_;
  const SegmentEntry& segment_;
  ObjectKeys& keys_;
  std::unique_ptr<ObjectReader> objects_;  // from the first frame that has to be read
  std::vector<FrameRequest> requests_;
};

}  // namespace vdb::pg
