/// ChunkVectors: full vectors of a segment's rows, from region C of its chunks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "index/routing.h"
#include "pg/store/segment_frames.h"

namespace vdb::pg {

class ChunkVectors {
 public:
  /// lists: of the segment's routing. All must outlive it. Pre: meta.store_vectors.
  ChunkVectors(Relation index, const MetaPage& meta, const SegmentEntry& segment,
               std::span<const index::ListEntry> lists, ObjectKeys& keys);

  /// Bytes of one vector, in the column's element type.
  size_t vector_bytes() const { return vector_bytes_; }

  /// Copies the vectors of these slots to `out`, one after the other: all frames that are missing
  /// are read together. May throw ErrorPending.
  /// Errors: kCorruption: a slot that has no row; those of the cache and the reader.
  Status Read(std::span<const uint32_t> slots, uint8_t* out);

 private:
  struct Place {
    uint32_t chunk;
    uint64_t offset;  // in its plaintext
  };
  Result<Place> PlaceOf(uint32_t slot) const;

  Relation index_;
  const SegmentEntry& segment_;
  std::span<const index::ListEntry> lists_;
  size_t vector_bytes_;
  SegmentFrames frames_;
};

}  // namespace vdb::pg
