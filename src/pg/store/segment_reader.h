/// IndexSegmentReader: a searcher's way to one segment of an index: frames through the cache,
/// dead rows and TIDs from the index's pages. One for each segment of a scan.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/searcher.h"
#include "pg/store/segment_frames.h"

namespace vdb::pg {

class IndexSegmentReader final : public index::SegmentReader {
 public:
  /// FrameRef::object counts the segment's chunks from 0. lists: of the segment's routing. dead:
  /// dead rows of each list, as the index's pages said when the scan began; empty: none are. All
  /// must outlive the reader.
  IndexSegmentReader(Relation index, const MetaPage& meta, const SegmentEntry& segment,
                     std::span<const index::ListEntry> lists, std::span<const uint32_t> dead,
                     ObjectKeys& keys);

  // All may throw ErrorPending but Unpin.
  Status Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) override;
  void Unpin() noexcept override;
  void Follow(size_t segment, index::FramesAhead* ahead) override;
  Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) override;

  /// The heap row of a slot of the segment. False: it is dead (also since the scan began).
  /// Errors: kCorruption: no such slot, or it pads a list.
  Result<bool> Tid(uint32_t slot, ItemPointer tid);

  /// Has the heap rows of these slots, which ascend, at hand for Tid, reading each page once.
  void ReadTids(std::span<const uint32_t> slots);

 private:
  struct Recent {
    uint32_t slot;
    ItemPointerData tid;
    bool alive;
  };
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  const ObjectEntry& ChunkOf(uint32_t slot) const;
  Status FetchAhead(std::span<const index::FrameRef> frames);
  /// ereports.
  Buffer ReadTidPage(const ObjectEntry& chunk, uint32_t page);

  Relation index_;
  const MetaPage& meta_;
  const SegmentEntry& segment_;
  std::span<const index::ListEntry> lists_;
  std::span<const uint32_t> dead_;
  BlockNumber blocks_ = 0;  // of the relation, when last looked
  SegmentFrames frames_;
  PinSet pins_;
  // Of a remote store alone: a miss there costs a round trip, so what will be missing soon comes
  // along.
  index::FramesAhead* ahead_ = nullptr;
  size_t number_ = 0;              // of the segment, for ahead_
  std::array<Recent, 32> recent_;  // slots that have been read, by slot
};

}  // namespace vdb::pg
