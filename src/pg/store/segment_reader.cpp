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

static_assert(index::kFrameBytes == kFrameBytes);

FrameKind KindOf(const ObjectHeader& object, uint32_t frame) {
  // A frame with the end of one region and the start of the next counts as the more wanted one.
  const uint64_t start = uint64_t{frame} * kFrameBytes;
  if (object.b_offset == 0 || start < object.b_offset) return FrameKind::kFirstCodes;
  if (object.c_offset == 0 || start < object.c_offset) return FrameKind::kExCodes;
  return FrameKind::kVectors;
}

}  // namespace

/// Reads the missing frames of one Pin call. Costs nothing until there are.
class IndexSegmentReader::Loader final : public FrameLoader {
 public:
  /// only_look: rather fails than reads.
  Loader(IndexSegmentReader& reader, std::span<const index::FrameRef> frames, bool only_look)
      : owner_(reader), frames_(frames), only_look_(only_look) {}

  /// Whether it has failed for that.
  bool missed() const { return missed_; }

  Status Prepare(uint32_t request) override {
    if (only_look_) {
      missed_ = true;
      return Internal("frames are missing");
    }
    if (owner_.objects_ == nullptr) {
      owner_.objects_ =
          NewObjectReader(owner_.index_, owner_.meta_, owner_.segment_.header.segment);
    }
    // Unwraps the index's key, which may run a command; what is then derived from it is cheap.
    return owner_.keys_.CipherFor(ChunkOf(request).header).TakeStatus();
  }

  Status Load(std::span<const FrameRequest>, std::span<const FrameFill> fills,
              uint64_t* bytes_read) override {
    std::vector<FrameRead> reads;
    reads.reserve(fills.size());
    for (const FrameFill& fill : fills) {
      reads.push_back({&ChunkOf(fill.request), frames_[fill.request].frame, fill.target});
    }
    return owner_.objects_->ReadFrames(reads, owner_.keys_, bytes_read);
  }

 private:
  const ObjectEntry& ChunkOf(uint32_t request) const {
    return owner_.segment_.chunks[frames_[request].object];
  }

  IndexSegmentReader& owner_;
  std::span<const index::FrameRef> frames_;
  bool only_look_;
  bool missed_ = false;
};

IndexSegmentReader::IndexSegmentReader(Relation index, const MetaPage& meta,
                                       const SegmentEntry& segment,
                                       std::span<const index::ListEntry> lists,
                                       std::span<const uint32_t> dead, ObjectKeys& keys)
    : index_(index), meta_(meta), segment_(segment), lists_(lists), dead_(dead), keys_(keys) {
  recent_.fill({kNoSlot, {}});
}

/// To requests_.
Status IndexSegmentReader::Request(std::span<const index::FrameRef> frames) {
  requests_.resize(frames.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    const index::FrameRef& frame = frames[i];
    if (unlikely(frame.object >= segment_.chunks.size())) return Internal("no such chunk");
    const ObjectHeader& chunk = segment_.chunks[frame.object].header;
    requests_[i] = {ObjectKey::Of(chunk.id), frame.frame, KindOf(chunk, frame.frame)};
  }
  return {};
}

Status IndexSegmentReader::Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) {
  VDB_RETURN_IF_ERROR(Request(frames));
  if (ahead_ != nullptr) {
    Loader look(*this, frames, true);
    Status status = FrameCache::Get().Pin(requests_, look, &pins_, addresses);
    if (!look.missed()) return status;
    VDB_RETURN_IF_ERROR(FetchAhead(frames));
    VDB_RETURN_IF_ERROR(Request(frames));
  }
  Loader loader(*this, frames, false);
  return FrameCache::Get().Pin(requests_, loader, &pins_, addresses);
}

void IndexSegmentReader::Follow(size_t segment, index::FramesAhead* ahead) {
  if (meta_.store == static_cast<uint8_t>(StoreKind::kLocal)) return;
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
  VDB_RETURN_IF_ERROR(Request(all));
  std::vector<const uint8_t*> addresses(all.size());
  PinSet pins;
  Loader loader(*this, all, false);
  return FrameCache::Get().Pin(requests_, loader, &pins, addresses.data());
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

Result<bool> IndexSegmentReader::Tid(uint32_t slot, ItemPointer tid) {
  // A row is asked for twice: for its exact distance, and when it goes out.
  Recent& recent = recent_[slot % recent_.size()];
  if (recent.slot == slot) {
    *tid = recent.tid;
    return true;
  }
  if (slot >= segment_.header.n_slots) return Internal(StrCat("no slot ", slot));
  const auto next = std::upper_bound(
      segment_.chunks.begin(), segment_.chunks.end(), slot,
      [](uint32_t s, const ObjectEntry& chunk) { return s < chunk.header.first_slot; });
  const ObjectEntry& chunk = *std::prev(next);
  const TidPlace place = PlaceOfSlot(slot - chunk.header.first_slot);
  const bool alive = Call([&] {
    const Buffer buffer = ReadTidPage(chunk, place.page);
    const TidBlock& block = TidBlocksOf(BufferGetPage(buffer))[place.block];
    *tid = block.tids[place.lane];
    const bool dead = (block.DeadMask() >> place.lane & 1) != 0;
    UnlockReleaseBuffer(buffer);
    return !dead;
  });
  if (!alive) return false;
  if (!ItemPointerIsValid(tid)) {
    return Corruption(StrCat("slot ", slot, " of segment ", segment_.header.segment, " of index \"",
                             RelationGetRelationName(index_), "\" has no row"))
        .WithHint("REINDEX the index.");
  }
  recent = {slot, *tid};
  return true;
}

}  // namespace vdb::pg
