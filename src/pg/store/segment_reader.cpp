#include "pg/store/segment_reader.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/am/tid_page.h"
#include "pg/guard.h"

namespace vdb::pg {
namespace {

// Fetched along at most: 24 MB, of which a cache holds several. What one search in a hundred needs
// where neighbours are spread over many lists.
constexpr size_t kMaxAheadFrames = 1536;

}  // namespace

IndexSegmentReader::IndexSegmentReader(Relation index, const MetaPage& meta,
                                       const SegmentEntry& segment,
                                       std::span<const index::ListEntry> lists,
                                       std::span<const uint32_t> dead, ObjectKeys& keys)
    : index_(index),
      meta_(meta),
      segment_(segment),
      lists_(lists),
      dead_(dead),
      frames_(index, meta, segment, keys) {
  recent_.fill({kNoSlot, {}, false});
}

Status IndexSegmentReader::Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) {
  if (ahead_ != nullptr) {
    VDB_ASSIGN_OR_RETURN(const bool cached, frames_.PinCached(frames, &pins_, addresses));
    if (cached) return {};
    Status fetched = FetchAhead(frames);
    if (fetched.code() == Code::kUnavailable) return fetched;
    // What is not needed must not fail the search: it goes on with what is, by itself.
    if (!fetched.ok()) ahead_ = nullptr;
  }
  return frames_.Pin(frames, &pins_, addresses);
}

void IndexSegmentReader::Follow(size_t segment, index::FramesAhead* ahead) {
  if (IsLocal(meta_)) return;
  number_ = segment;
  ahead_ = ahead;
}

/// Brings these frames into the cache, and in the same round trip those that the search will
/// probably want after them.
Status IndexSegmentReader::FetchAhead(std::span<const index::FrameRef> frames) {
  std::vector<index::FrameRef> all;
  ahead_->FramesOf(number_, &all);
  // The first of those, but not more than a small cache has room for, besides what others are
  // using.
  const size_t most = std::min(kMaxAheadFrames, FrameCache::Get().capacity() / 2) + frames.size();
  std::set<std::pair<uint32_t, uint32_t>> chosen;
  for (const index::FrameRef& frame : frames) chosen.insert({frame.object, frame.frame});
  for (size_t i = 0; i < all.size() && chosen.size() < most; ++i) {
    chosen.insert({all[i].object, all[i].frame});
  }
  all.clear();
  for (const auto& [object, frame] : chosen) all.push_back({object, frame});
  std::vector<const uint8_t*> addresses(all.size());
  PinSet pins;
  return frames_.Pin(all, &pins, addresses.data());
}

void IndexSegmentReader::Unpin() noexcept { pins_.Release(); }

Buffer IndexSegmentReader::ReadTidPage(const ObjectEntry& chunk, uint32_t page) {
  CHECK_FOR_INTERRUPTS();
  const BlockNumber block = ExtentBlock(chunk.tid_extents, page);
  if (unlikely(block >= blocks_)) {
    // Asking for the size is a system call: once a scan is enough.
    blocks_ = RelationGetNumberOfBlocks(index_);
    if (block >= blocks_) {
      ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                      errmsg("index \"%s\" is truncated: block %u is missing",
                             RelationGetRelationName(index_), block),
                      errhint("REINDEX the index.")));
    }
  }
  const Buffer buffer = ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, nullptr);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  CheckPage(index_, buffer, PageKind::kTids, segment_.header.segment);
  return buffer;
}

Result<bool> IndexSegmentReader::DeadRows(uint32_t list, std::span<uint32_t> mask) {
  if (dead_.empty() || dead_[list] == 0) return false;
  const index::ListEntry& entry = lists_[list];
  const ObjectEntry& chunk = segment_.chunks[entry.object];
  const uint32_t n_blocks = (entry.rows + kTidBlockSlots - 1) / kTidBlockSlots;
  if (mask.size() < n_blocks) return Internal("mask is too short");
  Call([&] {
    TidPlace place = PlaceOfSlot(entry.first_slot - chunk.header.first_slot);
    for (uint32_t done = 0; done < n_blocks; ++place.page, place.block = 0) {
      const Buffer buffer = ReadTidPage(chunk, place.page);
      const TidBlock* const blocks = TidBlocksOf(BufferGetPage(buffer));
      for (; done < n_blocks && place.block < kTidBlocksPerPage; ++done, ++place.block) {
        mask[done] = blocks[place.block].DeadMask();
      }
      UnlockReleaseBuffer(buffer);
    }
  });
  return true;
}

void IndexSegmentReader::ReadTids(std::span<const uint32_t> slots) {
  Call([&] {
    Buffer buffer = InvalidBuffer;
    const ObjectEntry* chunk = nullptr;
    uint32_t page = 0;
    for (const uint32_t slot : slots) {
      if (slot >= segment_.header.n_slots) continue;
      const ObjectEntry& next = ChunkOf(slot);
      const TidPlace place = PlaceOfSlot(slot - next.header.first_slot);
      if (chunk != &next || page != place.page) {
        if (BufferIsValid(buffer)) UnlockReleaseBuffer(buffer);
        chunk = &next;
        page = place.page;
        buffer = ReadTidPage(*chunk, page);
      }
      const TidBlock& block = TidBlocksOf(BufferGetPage(buffer))[place.block];
      const bool dead = (block.DeadMask() >> place.lane & 1) != 0;
      recent_[slot % recent_.size()] = {slot, block.tids[place.lane], !dead};
    }
    if (BufferIsValid(buffer)) UnlockReleaseBuffer(buffer);
  });
}

const ObjectEntry& IndexSegmentReader::ChunkOf(uint32_t slot) const {
  return *std::prev(std::upper_bound(
      segment_.chunks.begin(), segment_.chunks.end(), slot,
      [](uint32_t s, const ObjectEntry& chunk) { return s < chunk.header.first_slot; }));
}

Result<bool> IndexSegmentReader::Tid(uint32_t slot, ItemPointer tid) {
  if (slot >= segment_.header.n_slots) return Internal(StrCat("no slot ", slot));
  // A row is asked for twice: for its exact distance, and when it goes out.
  const Recent& recent = recent_[slot % recent_.size()];
  if (recent.slot != slot) ReadTids({&slot, 1});
  if (!recent.alive) return false;
  *tid = recent.tid;
  if (!ItemPointerIsValid(tid)) {
    return Corruption(StrCat("slot ", slot, " of segment ", segment_.header.segment, " of index \"",
                             RelationGetRelationName(index_), "\" has no row"))
        .WithHint("REINDEX the index.");
  }
  return true;
}

}  // namespace vdb::pg
