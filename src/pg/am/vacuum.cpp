/// ambulkdelete and amvacuumcleanup: dead rows of segments are marked in the TID pages, dead rows
/// of the delta leave their page. Nothing but pages is touched: no store, no key.
///
/// A share lock on page 0 is held throughout: a publish takes it exclusively, so no row moves from
/// the delta to a segment behind the walk's back. TIDs are examined under a share lock; only a page
/// with dead ones is locked exclusively, and examined again.
#include <algorithm>

#include "pg/am/handler.h"
#include "pg/am/tid_walk.h"
#include "pg/guard.h"

namespace vdb::pg {

namespace {

// A delta page with so much of its room free, one part in four, is worth telling inserters of.
constexpr uint32_t kRoomToTell = 4;

class BulkDelete {
 public:
  BulkDelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats, IndexBulkDeleteCallback callback,
             void* state)
      : index_(info->index),
        strategy_(info->strategy),
        stats_(stats),
        callback_(callback),
        state_(state) {}

  void Run() {
    Call([&] { LockPage(index_, kMetaBlock, ShareLock); });
    const MetaPage meta = Call([&] { return ReadMeta(index_); });
    opened_ = OpenedIndex::Get(index_, meta);
    opened_->OpenSegments(index_);
    ForEachTidPage(index_, *opened_, [&](const TidPageRef& ref) { DoTidPage(ref); });
    if (segment_rows_removed_) Call([&] { BumpTombstoneVersion(); });
    for (const DeltaStripe& stripe : meta.stripes) {
      BlockNumber pages = 0;
      for (BlockNumber block = stripe.first; block != InvalidBlockNumber;) {
        block = Call([&] { return DoDeltaPage(block, ++pages); });
      }
    }
    Call([&] { UnlockPage(index_, kMetaBlock, ShareLock); });
  }

 private:
  /// Lanes of each block that the callback wants gone and that are not marked yet.
  bool FindDead(Page page, uint32_t n_blocks, uint32_t* dead, uint64_t* live) {
    bool any = false;
    TidBlock* blocks = TidBlocksOf(page);
    *live = 0;
    for (uint32_t b = 0; b < n_blocks; b++) {
      dead[b] = 0;
      uint32_t rows = blocks[b].RowMask() & ~blocks[b].DeadMask();
      *live += static_cast<uint64_t>(__builtin_popcount(rows));
      for (; rows != 0; rows &= rows - 1) {
        const int lane = __builtin_ctz(rows);
        ItemPointerData tid = blocks[b].tids[lane];
        if (callback_(&tid, state_)) dead[b] |= 1u << lane;
      }
      any |= dead[b] != 0;
    }
    return any;
  }

  void DoTidPage(const TidPageRef& ref) {
    const SegmentEntry& entry = opened_->segments()[ref.segment].entry;
    Call([&] {
      compat::VacuumDelayPoint();
      uint32_t dead[kTidBlocksPerPage];
      uint64_t live;
      Buffer buffer = ReadPage(index_, ref.block, PageKind::kTids, entry.header.segment, strategy_);
      const bool any = FindDead(BufferGetPage(buffer), ref.n_blocks, dead, &live);
      if (any) {
        // Now and at the end: a vacuum that fails in between must not leave backends with old
        // counts for good.
        if (!segment_rows_removed_) BumpTombstoneVersion();
        segment_rows_removed_ = true;
        // Only vacuum changes these pages, and page 0's lock admits one vacuum of a table at a
        // time.
        LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        MarkDead(ref, entry, buffer, dead);
        for (uint32_t b = 0; b < ref.n_blocks; b++) {
          const auto n = static_cast<uint32_t>(__builtin_popcount(dead[b]));
          stats_->tuples_removed += n;
          live -= n;
        }
      }
      stats_->num_index_tuples += static_cast<double>(live);
      UnlockReleaseBuffer(buffer);
    });
  }

  /// One record for each page of dead counts: it, and the bits of its lists on the TID page. Nearly
  /// always one; a reader between two of them sees bits and counts that agree.
  void MarkDead(const TidPageRef& ref, const SegmentEntry& entry, Buffer buffer,
                const uint32_t* dead) {
    GenericXLogState* state = nullptr;
    TidBlock* blocks = nullptr;
    Buffer count_buffer = InvalidBuffer;
    uint32_t* counts = nullptr;
    uint32_t count_page = 0;
    const auto finish = [&] {
      if (state == nullptr) return;
      GenericXLogFinish(state);
      UnlockReleaseBuffer(count_buffer);
      state = nullptr;
    };
    uint32_t list = ListOfSlot(ref, entry);
    uint32_t list_end = list_end_;
    for (uint32_t b = 0; b < ref.n_blocks; b++) {
      while (ref.first_slot + b * kTidBlockSlots >= list_end) {
        list++;
        list_end += (entry.list_rows[list] + kTidBlockSlots - 1) / kTidBlockSlots * kTidBlockSlots;
      }
      if (dead[b] == 0) continue;
      if (state == nullptr || count_page != list / kDeadCountsPerPage) {
        finish();
        count_page = list / kDeadCountsPerPage;
        count_buffer = ReadBuffer(index_, entry.header.dead + count_page);
        LockBuffer(count_buffer, BUFFER_LOCK_EXCLUSIVE);
        CheckPage(index_, count_buffer, PageKind::kListDead, entry.header.segment);
        state = GenericXLogStart(index_);
        blocks = TidBlocksOf(GenericXLogRegisterBuffer(state, buffer, 0));
        counts = reinterpret_cast<uint32_t*>(
            PayloadOf(GenericXLogRegisterBuffer(state, count_buffer, 0)));
      }
      blocks[b].SetDeadMask(blocks[b].DeadMask() | dead[b]);
      counts[list % kDeadCountsPerPage] += static_cast<uint32_t>(__builtin_popcount(dead[b]));
    }
    finish();
  }

  /// The list of the page's first slot; its end to list_end_. The walk is in slot order, so the
  /// search goes on from where it was.
  uint32_t ListOfSlot(const TidPageRef& ref, const SegmentEntry& entry) {
    if (walk_segment_ != ref.segment) {
      walk_segment_ = ref.segment;
      walk_list_ = 0;
      list_end_ = (entry.list_rows[0] + kTidBlockSlots - 1) / kTidBlockSlots * kTidBlockSlots;
    }
    while (ref.first_slot >= list_end_) {
      walk_list_++;
      list_end_ +=
          (entry.list_rows[walk_list_] + kTidBlockSlots - 1) / kTidBlockSlots * kTidBlockSlots;
    }
    return walk_list_;
  }

  void BumpTombstoneVersion() {
    Buffer buffer = ReadBuffer(index_, kMetaBlock);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    GenericXLogState* state = GenericXLogStart(index_);
    MetaOf(GenericXLogRegisterBuffer(state, buffer, 0))->tombstone_version++;
    GenericXLogFinish(state);
    UnlockReleaseBuffer(buffer);
  }

  /// Returns the next page of the chain. `pages`: the how many-th of it this is.
  BlockNumber DoDeltaPage(BlockNumber block, BlockNumber pages) {
    compat::VacuumDelayPoint();
    const uint32_t row_bytes = DeltaRowBytes(opened_->layout());
    Buffer buffer = ReadPage(index_, block, PageKind::kDelta, 0, strategy_, &known_blocks_);
    CheckChainLength(index_, block, pages, known_blocks_);
    DeltaRows rows = ViewDelta(index_, buffer, BufferGetPage(buffer), row_bytes);
    bool any = false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < rows.header->count && !any; i++) {
      ItemPointerData tid = *rows.tid(i);
      any = callback_(&tid, state_);
    }
    // CREATE INDEX CONCURRENTLY's callback collects TIDs and wants each once: only the second walk
    // may call it for the rest of a page with dead rows.
    if (!any) {
      kept = rows.header->count;
      stats_->num_index_tuples += kept;
    } else {
      LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
      LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
      GenericXLogState* state = GenericXLogStart(index_);
      Page page = GenericXLogRegisterBuffer(state, buffer, 0);
      rows = ViewDelta(index_, buffer, page, row_bytes);
      for (uint32_t i = 0; i < rows.header->count; i++) {
        ItemPointerData tid = *rows.tid(i);
        if (callback_(&tid, state_)) {
          stats_->tuples_removed++;
          continue;
        }
        if (kept != i) std::memmove(rows.row(kept), rows.row(i), row_bytes);
        kept++;
      }
      rows.header->count = static_cast<uint16_t>(kept);
      SetPayloadUsed(page, sizeof(DeltaHeader) + size_t{kept} * row_bytes);
      GenericXLogFinish(state);
      stats_->num_index_tuples += kept;
    }
    const BlockNumber next = SpecialOf(BufferGetPage(buffer))->next;
    UnlockReleaseBuffer(buffer);
    // Not only where it has just been made: the free space map is lost by a crash, and a standby
    // that is promoted never had one.
    const uint32_t most = DeltaRowsPerPage(row_bytes);
    if (any || most - kept >= most / kRoomToTell) {
      DeltaHasSpace(index_, block, most - kept, row_bytes);
    }
    return next;
  }

  Relation index_;
  BufferAccessStrategy strategy_;
  IndexBulkDeleteResult* stats_;
  IndexBulkDeleteCallback callback_;
  void* state_;
  std::shared_ptr<OpenedIndex> opened_;
  bool segment_rows_removed_ = false;
  BlockNumber known_blocks_ = 0;
  uint32_t walk_segment_ = ~0u, walk_list_ = 0, list_end_ = 0;
};

}  // namespace
}  // namespace vdb::pg

extern "C" IndexBulkDeleteResult* vdb_am_bulkdelete(IndexVacuumInfo* info,
                                                    IndexBulkDeleteResult* stats,
                                                    IndexBulkDeleteCallback callback, void* state) {
  if (stats == nullptr) {
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
  }
  stats->num_index_tuples = 0;
  stats->estimated_count = false;
  vdb::pg::Entry("vdb_am_bulkdelete",
                 [&] { vdb::pg::BulkDelete(info, stats, callback, state).Run(); });
  return stats;
}

extern "C" IndexBulkDeleteResult* vdb_am_vacuumcleanup(IndexVacuumInfo* info,
                                                       IndexBulkDeleteResult* stats) {
  if (info->analyze_only) return stats;
  if (stats == nullptr) {
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    stats->num_index_tuples = info->num_heap_tuples;
    stats->estimated_count = true;
  }
  // Delta pages with room, for inserters to find.
  IndexFreeSpaceMapVacuum(info->index);
  stats->num_pages = RelationGetNumberOfBlocks(info->index);
  return stats;
}
