#include "pg/am/tid_walk.h"

namespace vdb::pg {

BlockNumber TidPageBlock(Relation index, const ObjectEntry& chunk, uint32_t page) {
  const BlockNumber block = ExtentBlock(chunk.tid_extents, page);
  if (block == InvalidBlockNumber) {
    ThrowIfError(Corruption(std::string("index \"") + RelationGetRelationName(index) +
                            "\" has a chunk without all its TID pages")
                     .WithHint("REINDEX the index."));
  }
  return block;
}

TidCursor::TidCursor(Relation index, const MetaPage& meta, std::shared_ptr<OpenedIndex> opened)
    : index_(index), meta_(meta), opened_(std::move(opened)), delta_block_(meta.stripes[0].first) {}

std::span<const uint64_t> TidCursor::Next() {
  tids_.clear();
  while (tids_.empty() && stripe_ < kDeltaStripes) {
    if (delta_block_ != InvalidBlockNumber) {
      ReadDeltaPage();
    } else if (++stripe_ < kDeltaStripes) {
      delta_block_ = meta_.stripes[stripe_].first;
    }
  }
  const std::vector<OpenedSegment>& segments = opened_->segments();
  while (tids_.empty() && segment_ < segments.size()) {
    const std::vector<ObjectEntry>& chunks = segments[segment_].entry.chunks;
    if (chunk_ == chunks.size()) {
      segment_++;
      chunk_ = 0;
    } else if (page_ == TidPages(chunks[chunk_].header.n_slots)) {
      chunk_++;
      page_ = 0;
    } else {
      ReadTidPage();
    }
  }
  return tids_;
}

/// Collects the rows of delta_block_ and goes to the next one.
void TidCursor::ReadDeltaPage() {
  const uint32_t row_bytes = DeltaRowBytes(opened_->layout());
  tids_.resize(DeltaRowsPerPage(row_bytes));
  uint32_t count = 0;
  Call([&] {
    CHECK_FOR_INTERRUPTS();
    Buffer buffer = ReadPage(index_, delta_block_, PageKind::kDelta, 0, nullptr);
    Page page = BufferGetPage(buffer);
    const DeltaRows rows = ViewDelta(index_, buffer, page, row_bytes);
    for (; count < rows.header->count; count++) {
      ItemPointerData tid;
      memcpy(&tid, rows.row(count), sizeof(tid));
      tids_[count] = PackTid(tid);
    }
    delta_block_ = SpecialOf(page)->next;
    UnlockReleaseBuffer(buffer);
  });
  tids_.resize(count);
}

void TidCursor::ReadTidPage() {
  const SegmentEntry& entry = opened_->segments()[segment_].entry;
  const ObjectEntry& chunk = entry.chunks[chunk_];
  const BlockNumber block = TidPageBlock(index_, chunk, page_);
  const uint32_t n_blocks = TidBlocksOnPage(chunk.header.n_slots, page_);
  tids_.resize(size_t{n_blocks} * kTidBlockSlots);
  size_t count = 0;
  Call([&] {
    CHECK_FOR_INTERRUPTS();
    Buffer buffer = ReadPage(index_, block, PageKind::kTids, entry.header.segment, nullptr);
    const TidBlock* blocks = TidBlocksOf(BufferGetPage(buffer));
    for (uint32_t b = 0; b < n_blocks; b++) {
      for (uint32_t rows = blocks[b].RowMask() & ~blocks[b].DeadMask(); rows != 0;
           rows &= rows - 1) {
        tids_[count++] = PackTid(blocks[b].tids[__builtin_ctz(rows)]);
      }
    }
    UnlockReleaseBuffer(buffer);
  });
  tids_.resize(count);
  page_++;
}

}  // namespace vdb::pg
