#include "pg/store/local_store.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/guard.h"

namespace vdb::pg {
namespace {

// Generic WAL takes four pages a record.
constexpr size_t kRecordPages = MAX_GENERIC_XLOG_PAGES;

// Frames that the operating system is told of ahead of the one being decrypted (10 us each): enough
// to keep a disk busy, few enough to be read before they are needed again.
constexpr size_t kPrefetchFrames = 16;

/// How copying from a page went. Raised as an error by the caller, outside pg::Call.
enum class PageRead { kOk, kTruncated, kOtherPage, kShort };

}  // namespace

LocalObjectWriter::LocalObjectWriter(Relation index, WriteMode mode)
    : index_(index), mode_(mode), ring_(Call([] { return GetAccessStrategy(BAS_BULKWRITE); })) {
  pending_.reserve(2 * kRecordPages * kPagePayload);
}

void LocalObjectWriter::Begin(uint32_t segment, uint64_t) {
  segment_ = segment;
  pending_.clear();
  extents_.clear();
}

void LocalObjectWriter::Append(std::span<const uint8_t> stored) {
  while (!stored.empty()) {
    const size_t n = std::min(stored.size(), pending_.capacity() - pending_.size());
    pending_.insert(pending_.end(), stored.begin(), stored.begin() + static_cast<ptrdiff_t>(n));
    stored = stored.subspan(n);
    if (pending_.size() == pending_.capacity()) WritePages(false);
  }
}

void LocalObjectWriter::Finish(ObjectEntry* object) {
  WritePages(true);
  object->extents = std::move(extents_);
}

void LocalObjectWriter::WritePages(bool all) {
  size_t done = 0;
  while (pending_.size() - done >= (all ? 1 : kRecordPages * kPagePayload)) {
    BlockNumber blocks[kRecordPages];
    const uint8_t* const bytes = pending_.data() + done;
    const size_t size = std::min(pending_.size() - done, kRecordPages * kPagePayload);
    const size_t n = (size + kPagePayload - 1) / kPagePayload;
    const auto fill = [bytes, size, this](Page page, size_t i) {
      const size_t used = std::min(size - i * kPagePayload, kPagePayload);
      InitPage(page, PageKind::kObject, segment_);
      memcpy(PayloadOf(page), bytes + i * kPagePayload, used);
      SetPayloadUsed(page, used);
    };
    Call([&] {
      CHECK_FOR_INTERRUPTS();
      Buffer buffers[kRecordPages];
      for (size_t i = 0; i < n; ++i) {
        buffers[i] = NewBuffer(index_, MAIN_FORKNUM, ring_);
        blocks[i] = BufferGetBlockNumber(buffers[i]);
      }
      if (mode_ == WriteMode::kLogged) {
        GenericXLogState* const state = GenericXLogStart(index_);
        for (size_t i = 0; i < n; ++i) {
          fill(GenericXLogRegisterBuffer(state, buffers[i], GENERIC_XLOG_FULL_IMAGE), i);
        }
        GenericXLogFinish(state);
      } else {
        for (size_t i = 0; i < n; ++i) {
          fill(BufferGetPage(buffers[i]), i);
          MarkBufferDirty(buffers[i]);
        }
      }
      for (size_t i = 0; i < n; ++i) UnlockReleaseBuffer(buffers[i]);
    });
    for (size_t i = 0; i < n; ++i) {
      if (!extents_.empty() && extents_.back().start + extents_.back().pages == blocks[i]) {
        ++extents_.back().pages;
      } else {
        extents_.push_back({blocks[i], 1});
      }
    }
    done += size;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(done));
}

LocalObjectReader::LocalObjectReader(Relation index, uint32_t segment)
    : index_(index), segment_(segment), sealed_(format::kStoredFrameBytes) {
  // One ring for the backend's life: it is no more than a few buffer numbers.
  static BufferAccessStrategy ring = nullptr;
  Call([this] {
    if (ring == nullptr) {
      const MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
      ring = GetAccessStrategy(BAS_BULKREAD);
      MemoryContextSwitchTo(old);
    }
    blocks_ = RelationGetNumberOfBlocks(index_);
  });
  ring_ = ring;
}

Status LocalObjectReader::ReadStored(const ObjectEntry& object, uint64_t offset,
                                     std::span<uint8_t> out) {
  uint64_t page = offset / kPagePayload;
  size_t skip = offset % kPagePayload;
  BlockNumber block = InvalidBlockNumber;
  size_t done = 0;
  // One wall around all pages of a frame.
  const PageRead read = Call([&] {
    for (; done < out.size(); ++page, skip = 0) {
      CHECK_FOR_INTERRUPTS();
      block = ExtentBlock(object.extents, page);
      if (block >= blocks_) {
        blocks_ = RelationGetNumberOfBlocks(index_);
        if (block >= blocks_) return PageRead::kTruncated;
      }
      const Buffer buffer = ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, ring_);
      LockBuffer(buffer, BUFFER_LOCK_SHARE);
      const Page bytes = BufferGetPage(buffer);
      const bool ours = PageMatches(bytes, PageKind::kObject, segment_);
      const size_t used = ours ? PayloadUsed(bytes) : 0;
      const size_t n = used > skip ? std::min(used - skip, out.size() - done) : 0;
      memcpy(out.data() + done, PayloadOf(bytes) + skip, n);
      UnlockReleaseBuffer(buffer);
      if (!ours) return PageRead::kOtherPage;
      done += n;
      // Only the last page of an object is not full.
      if (done < out.size() && used < kPagePayload) return PageRead::kShort;
    }
    return PageRead::kOk;
  });
  switch (read) {
    case PageRead::kOk:
      return {};
    case PageRead::kTruncated:
      return DamagedFrame(index_, object, (offset + done) / format::kStoredFrameBytes,
                          block == InvalidBlockNumber
                              ? std::string("The object ends before it.")
                              : StrCat("The relation is truncated: block ", block, " is missing."));
    case PageRead::kOtherPage:
      return DamagedFrame(
          index_, object, (offset + done) / format::kStoredFrameBytes,
          StrCat("Block ", block, " is not a page of an object of segment ", segment_, "."));
    case PageRead::kShort:
      break;
  }
  return DamagedFrame(index_, object, (offset + done) / format::kStoredFrameBytes,
                      StrCat("Block ", block, " holds less than it should."));
}

Status LocalObjectReader::ReadFrame(const ObjectEntry& object, const crypto::ObjectCipher& cipher,
                                    uint32_t frame, uint8_t* out) {
  const uint64_t plain_bytes = object.header.plain_bytes;
  if (frame >= format::FrameCount(plain_bytes)) {
    return DamagedFrame(index_, object, frame, "The object has no such frame.");
  }
  const std::span<uint8_t> sealed(
      sealed_.data(), format::FramePlainBytes(plain_bytes, frame) + format::kFrameTagBytes);
  VDB_RETURN_IF_ERROR(ReadStored(object, format::StoredFrameOffset(frame), sealed));
  if (!cipher.TryOpenFrame(frame, sealed, out)) {
    return UnauthenticFrame(index_, object, frame);
  }
  return {};
}

Status LocalObjectReader::ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                                     uint64_t* bytes_read) {
  // In the order in which they lie on disk.
  std::vector<FrameRead> order(frames.begin(), frames.end());
  std::sort(order.begin(), order.end(), [](const FrameRead& a, const FrameRead& b) {
    return a.object != b.object ? a.object->header.first_slot < b.object->header.first_slot
                                : a.frame < b.frame;
  });
  const auto prefetch = [&](size_t i) {
    if (i < order.size()) Prefetch(*order[i].object, order[i].frame);
  };
  for (size_t i = 0; i < kPrefetchFrames; ++i) prefetch(i);
  std::optional<crypto::ObjectCipher> cipher;
  const ObjectEntry* previous = nullptr;
  for (size_t i = 0; i < order.size(); ++i) {
    prefetch(i + kPrefetchFrames);
    const FrameRead& read = order[i];
    if (read.object != previous) {
      VDB_ASSIGN_OR_RETURN(cipher, keys.CipherFor(read.object->header));
      previous = read.object;
    }
    VDB_RETURN_IF_ERROR(ReadFrame(*read.object, *cipher, read.frame, read.target));
    *bytes_read += format::FramePlainBytes(read.object->header.plain_bytes, read.frame) +
                   format::kFrameTagBytes;
  }
  return {};
}

void LocalObjectReader::Prefetch(const ObjectEntry& object, uint32_t frame) {
  if (effective_io_concurrency == 0) return;
  const uint64_t first = format::StoredFrameOffset(frame) / kPagePayload;
  const uint64_t last =
      (format::StoredFrameOffset(frame) + format::kStoredFrameBytes - 1) / kPagePayload;
  Call([&] {
    for (uint64_t page = first; page <= last; ++page) {
      const BlockNumber block = ExtentBlock(object.extents, page);
      if (block < blocks_) PrefetchBuffer(index_, MAIN_FORKNUM, block);
    }
  });
}

Result<AlignedBuffer<uint8_t>> LocalObjectReader::ReadObject(const ObjectEntry& object,
                                                             ObjectKeys& keys) {
  VDB_ASSIGN_OR_RETURN(const crypto::ObjectCipher cipher, keys.CipherFor(object.header));
  const uint64_t frames = format::FrameCount(object.header.plain_bytes);
  // ReadFrame checks each frame against the extents: a size that is nonsense fails early, but it
  // must not first allocate as much.
  uint64_t pages = 0;
  for (const Extent& extent : object.extents) pages += extent.pages;
  if (format::StoredBytes(object.header.plain_bytes) > pages * kPagePayload) {
    return DamagedFrame(index_, object, frames - 1, "The object's pages hold less.");
  }
  AlignedBuffer<uint8_t> plain(object.header.plain_bytes);
  for (uint64_t frame = 0; frame < frames; ++frame) {
    VDB_RETURN_IF_ERROR(ReadFrame(object, cipher, static_cast<uint32_t>(frame),
                                  plain.data() + frame * format::kFrameBytes));
  }
  return plain;
}

}  // namespace vdb::pg
