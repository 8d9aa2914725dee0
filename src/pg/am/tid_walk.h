/// Every TID an index holds: for vacuum, for CREATE INDEX CONCURRENTLY's validation, for checks,
/// for NULL queries.
#pragma once

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

/// Calls visit(ref) for each TID page in order. Pre: segments are open.
template <class Visit>
void ForEachTidPage(Relation index, OpenedIndex& opened, Visit&& visit) {
  std::vector<OpenedSegment>& segments = opened.segments();
  for (uint32_t s = 0; s < segments.size(); s++) {
    const SegmentEntry& entry = segments[s].entry;
    for (uint32_t c = 0; c < entry.chunks.size(); c++) {
      const ObjectEntry& chunk = entry.chunks[c];
      for (uint32_t page = 0; page < TidPages(chunk.header.n_slots); page++) {
        const BlockNumber block = ExtentBlock(chunk.tid_extents, page);
        if (block == InvalidBlockNumber) {
          ThrowIfError(Corruption(std::string("index \"") + RelationGetRelationName(index) +
                                  "\" has a chunk without all its TID pages")
                           .WithHint("REINDEX the index."));
        }
        visit(TidPageRef{s, c, page, block, chunk.header.first_slot + page * kTidSlotsPerPage,
                         TidBlocksOnPage(chunk.header.n_slots, page)});
      }
    }
  }
}

/// Calls visit(tid) for each live row of segments and delta.
template <class Visit>
void ForEachTid(Relation index, const MetaPage& meta, OpenedIndex& opened, Visit&& visit) {
  char payload[kPagePayload];
  ForEachTidPage(index, opened, [&](const TidPageRef& ref) {
    const uint32_t segment = opened.segments()[ref.segment].entry.header.segment;
    Call([&] {
      CHECK_FOR_INTERRUPTS();
      Buffer buffer = ReadPage(index, ref.block, PageKind::kTids, segment, nullptr);
      std::memcpy(payload, PayloadOf(BufferGetPage(buffer)), ref.n_blocks * sizeof(TidBlock));
      UnlockReleaseBuffer(buffer);
    });
    const auto* blocks = reinterpret_cast<const TidBlock*>(payload);
    for (uint32_t b = 0; b < ref.n_blocks; b++) {
      for (uint32_t lane = 0; lane < kTidBlockSlots; lane++) {
        if (ItemPointerIsValid(&blocks[b].tids[lane]) && !(blocks[b].DeadMask() >> lane & 1)) {
          visit(blocks[b].tids[lane]);
        }
      }
    }
  });
  const uint32_t row_bytes = DeltaRowBytes(opened.layout());
  for (const DeltaStripe& stripe : meta.stripes) {
    BlockNumber block = stripe.first;
    while (block != InvalidBlockNumber) {
      uint32_t count = 0;
      Call([&] {
        CHECK_FOR_INTERRUPTS();
        Buffer buffer = ReadPage(index, block, PageKind::kDelta, 0, nullptr);
        const DeltaRows rows = ViewDelta(index, buffer, BufferGetPage(buffer), row_bytes);
        count = rows.header->count;
        std::memcpy(payload, rows.rows, size_t{count} * row_bytes);
        block = SpecialOf(BufferGetPage(buffer))->next;
        UnlockReleaseBuffer(buffer);
      });
      for (uint32_t i = 0; i < count; i++) {
        ItemPointerData tid;
        std::memcpy(&tid, payload + size_t{i} * row_bytes, sizeof(tid));
        visit(tid);
      }
    }
  }
}

}  // namespace vdb::pg
