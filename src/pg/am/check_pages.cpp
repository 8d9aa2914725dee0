#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/strcat.h"
#include "pg/am/buffer.h"
#include "pg/am/check.h"
#include "pg/am/delta.h"
#include "pg/guard.h"
#include "quant/rotation.h"

namespace vdb::pg {

namespace {

/// A copy of a page's payload.
struct PageCopy {
  size_t used;
  BlockNumber next;
  char payload[kPagePayload];
};

void CopyPage(Relation index, BlockNumber block, PageKind kind, uint32_t segment,
              BufferAccessStrategy ring, PageCopy* copy) {
  Call([&] {
    CHECK_FOR_INTERRUPTS();
    Buffer buffer = ReadPage(index, block, kind, segment, ring);
    Page page = BufferGetPage(buffer);
    copy->used = PayloadUsed(page);
    copy->next = SpecialOf(page)->next;
    std::memcpy(copy->payload, PayloadOf(page), copy->used);
    UnlockReleaseBuffer(buffer);
  });
}

}  // namespace

void PageUse::Take(BlockNumber block) {
  if (block >= blocks_) {
    blocks_ = Call([&] { return RelationGetNumberOfBlocks(index_); });
    if (block >= blocks_) {
      ThrowIfError(DamagedIndex(index_, StrCat("block ", block, " is missing")));
    }
    taken_.resize(blocks_);
  }
  if (taken_[block]) {
    ThrowIfError(DamagedIndex(index_, StrCat("block ", block, " is referred to twice")));
  }
  taken_[block] = true;
}

void PageUse::Take(const std::vector<Extent>& extents) {
  for (const Extent& extent : extents) {
    for (uint32_t i = 0; i < extent.pages; i++) Take(extent.start + i);
  }
}

PageChecker::PageChecker(Relation index, const MetaPage& meta, PageUse* use, TidSink sink)
    : index_(index),
      meta_(meta),
      use_(use),
      sink_(std::move(sink)),
      ring_(Call([] { return GetAccessStrategy(BAS_BULKREAD); })) {}

std::vector<uint8_t> PageChecker::Chain(BlockNumber first, PageKind kind) {
  std::vector<uint8_t> bytes;
  PageCopy page;
  for (BlockNumber block = first; block != InvalidBlockNumber; block = page.next) {
    use_->Take(block);
    CopyPage(index_, block, kind, 0, ring_, &page);
    bytes.insert(bytes.end(), page.payload, page.payload + page.used);
  }
  return bytes;
}

void PageChecker::Parameters() {
  const std::vector<uint8_t> bytes = Chain(meta_.parameters, PageKind::kParameters);
  const uint32_t dim = quant::PaddedDim(meta_.dim);
  const size_t sign_bytes = quant::RotationSignWords(dim) * sizeof(uint64_t);
  std::vector<float> mean(dim);
  bool sound = bytes.size() == sign_bytes + dim * sizeof(float);
  if (sound) {
    std::memcpy(mean.data(), bytes.data() + sign_bytes, dim * sizeof(float));
    sound = std::all_of(mean.begin(), mean.end(), [](float x) { return std::isfinite(x); });
  }
  if (!sound) ThrowIfError(DamagedIndex(index_, "its parameters make no sense"));
}

uint64_t PageChecker::Segment(const SegmentEntry& segment) {
  const SegmentHeader& header = segment.header;
  const uint32_t wanted = (header.n_lists + kDeadCountsPerPage - 1) / kDeadCountsPerPage;
  if (header.dead_pages != wanted) {
    ThrowIfError(DamagedIndex(index_, "a segment has the wrong number of pages of dead counts"));
  }
  use_->Take(std::vector<Extent>{{header.dead, header.dead_pages}});
  // A vacuum may be at work: what is marked lies between the counts before and after.
  const std::vector<uint32_t> before = ReadDeadCounts(index_, header);
  std::vector<uint32_t> dead(header.n_lists);
  for (const ObjectEntry& chunk : segment.chunks) TidRun(segment, chunk, &dead);
  const std::vector<uint32_t> after = ReadDeadCounts(index_, header);
  uint64_t total = 0;
  for (uint32_t list = 0; list < header.n_lists; list++) {
    if (dead[list] < before[list] || dead[list] > after[list]) {
      ThrowIfError(DamagedIndex(
          index_, StrCat("list ", list, " of segment ", header.segment, " has ", dead[list],
                         " dead rows, where ", before[list], " are counted")));
    }
    total += dead[list];
  }
  return total;
}

/// The TID pages of a chunk: slots follow from the rows of its lists.
void PageChecker::TidRun(const SegmentEntry& segment, const ObjectEntry& chunk,
                         std::vector<uint32_t>* dead) {
  const ObjectHeader& header = chunk.header;
  const uint32_t pages = TidPages(header.n_slots);
  uint64_t slots = 0;
  for (uint32_t l = 0; l < header.n_lists; l++) {
    const uint64_t rows = segment.list_rows[header.first_list + l];
    slots += (rows + kTidBlockSlots - 1) / kTidBlockSlots * kTidBlockSlots;
  }
  if (header.n_lists == 0 || slots != header.n_slots) {
    ThrowIfError(DamagedIndex(index_, "a chunk has other slots than its lists"));
  }
  if (PagesOf(chunk.tid_extents) != pages) {
    ThrowIfError(DamagedIndex(index_, "a chunk has the wrong number of TID pages"));
  }
  use_->Take(chunk.tid_extents);
  uint32_t list = header.first_list;
  uint32_t rows_left = segment.list_rows[list];
  PageCopy page;
  for (uint32_t i = 0; i < pages; i++) {
    const BlockNumber block = ExtentBlock(chunk.tid_extents, i);
    const uint32_t n_blocks = TidBlocksOnPage(header.n_slots, i);
    CopyPage(index_, block, PageKind::kTids, segment.header.segment, ring_, &page);
    if (page.used != n_blocks * sizeof(TidBlock)) {
      ThrowIfError(
          DamagedIndex(index_, StrCat("block ", block, " holds the wrong number of TIDs")));
    }
    tids_.clear();
    for (uint32_t b = 0; b < n_blocks; b++) {
      while (rows_left == 0) rows_left = segment.list_rows[++list];
      TidBlock tids;
      std::memcpy(&tids, page.payload + b * sizeof(TidBlock), sizeof(TidBlock));
      const uint32_t rows = std::min(rows_left, kTidBlockSlots);
      TidBlockOf(tids, rows, block);
      (*dead)[list] += static_cast<uint32_t>(__builtin_popcount(tids.DeadMask()));
      rows_left -= rows;
    }
    if (sink_) sink_(tids_);
  }
}

/// A block of 32 slots of which the first `rows` hold rows. Collects the live ones.
void PageChecker::TidBlockOf(const TidBlock& block, uint32_t rows, BlockNumber where) {
  const uint32_t expected = rows == kTidBlockSlots ? ~0u : (1u << rows) - 1;
  if (block.RowMask() != expected || (block.DeadMask() & ~expected) != 0) {
    ThrowIfError(DamagedIndex(index_, StrCat("block ", where,
                                             " has a TID where none belongs, or "
                                             "none where one does")));
  }
  for (uint32_t live = expected & ~block.DeadMask(); live != 0; live &= live - 1) {
    tids_.push_back(PackTid(block.tids[__builtin_ctz(live)]));
  }
}

uint64_t PageChecker::Delta() {
  const uint32_t row_bytes = DeltaRowBytes(LayoutOf(meta_));
  uint64_t rows = 0;
  PageCopy page;
  for (const DeltaStripe& stripe : meta_.stripes) {
    uint64_t pages = 0;
    // Pages may be added meanwhile: the one that was last need not be the last any more.
    bool met_last = stripe.last == InvalidBlockNumber && stripe.first == InvalidBlockNumber;
    for (BlockNumber block = stripe.first; block != InvalidBlockNumber; block = page.next) {
      use_->Take(block);
      CopyPage(index_, block, PageKind::kDelta, 0, ring_, &page);
      DeltaHeader header = {};
      std::memcpy(&header, page.payload, std::min(page.used, sizeof(header)));
      bool sound = header.row_bytes == row_bytes &&
                   page.used == sizeof(header) + size_t{header.count} * row_bytes;
      tids_.clear();
      for (uint32_t i = 0; i < header.count && sound; i++) {
        ItemPointerData tid;
        std::memcpy(&tid, page.payload + sizeof(header) + size_t{i} * row_bytes, sizeof(tid));
        sound = ItemPointerIsValid(&tid);
        tids_.push_back(PackTid(tid));
      }
      if (!sound) ThrowIfError(DamagedIndex(index_, StrCat("delta page ", block, " is damaged")));
      if (sink_) sink_(tids_);
      rows += header.count;
      pages++;
      met_last |= block == stripe.last;
    }
    if (!met_last || pages < stripe.pages) {
      ThrowIfError(DamagedIndex(index_, "a chain of delta pages ends early"));
    }
  }
  return rows;
}

}  // namespace vdb::pg
