/// Every TID an index holds: for vacuum, for CREATE INDEX CONCURRENTLY's validation, for NULL
/// queries.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pg/am/buffer.h"
#include "pg/am/delta.h"
#include "pg/am/opened.h"
#include "pg/am/tid_page.h"
#include "pg/guard.h"

namespace vdb::pg {

/// One kTids page of a chunk.
struct TidPageRef {
  uint32_t segment;  // index into the opened segments
  uint32_t chunk;    // of the segment
  uint32_t page;     // of the chunk's run
  BlockNumber block;
  uint32_t first_slot;  // of the segment
  uint32_t n_blocks;    // blocks of 32 slots on the page
};

/// The block of a page of a chunk's run. Throws XX002 when the run has none such.
BlockNumber TidPageBlock(Relation index, const ObjectEntry& chunk, uint32_t page);

/// Calls visit(ref) for each TID page in order. Pre: segments are open.
template <class Visit>
void ForEachTidPage(Relation index, OpenedIndex& opened, Visit&& visit) {
  std::vector<OpenedSegment>& segments = opened.segments();
  for (uint32_t s = 0; s < segments.size(); s++) {
    const SegmentEntry& entry = segments[s].entry;
    for (uint32_t c = 0; c < entry.chunks.size(); c++) {
      const ObjectEntry& chunk = entry.chunks[c];
      for (uint32_t page = 0; page < TidPages(chunk.header.n_slots); page++) {
        const BlockNumber block = TidPageBlock(index, chunk, page);
        visit(TidPageRef{s, c, page, block, chunk.header.first_slot + page * kTidSlotsPerPage,
                         TidBlocksOnPage(chunk.header.n_slots, page)});
      }
    }
  }
}

/// The live rows of an index, a page at a time: memory stays bounded however large the index is.
/// Has what was in the index when it was made; rows that come later may be left out.
class TidCursor {
 public:
  /// opened: the index at `meta`, with its segments open.
  TidCursor(Relation index, const MetaPage& meta, std::shared_ptr<OpenedIndex> opened);

  /// The TIDs (PackTid) of the next page that has any; empty: there are no more. Throws.
  std::span<const uint64_t> Next();

 private:
  void ReadDeltaPage();
  void ReadTidPage();

  Relation index_;
  MetaPage meta_;
  std::shared_ptr<OpenedIndex> opened_;
  // The delta comes first, since rows move from it to segments.
  uint32_t stripe_ = 0;
  BlockNumber delta_block_;
  uint32_t segment_ = 0, chunk_ = 0, page_ = 0;
  std::vector<uint64_t> tids_;
};

}  // namespace vdb::pg
