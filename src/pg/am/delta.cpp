#include "pg/am/delta.h"

#include <cstring>

#include "pg/am/buffer.h"

namespace vdb::pg {

namespace {

// Entries of the free space map that an inserter follows before it takes a new page.
constexpr int kFreePagesTried = 4;

/// Writes the row at position `count` of the page and counts it.
void PutRow(Page page, const char* row, uint32_t row_bytes) {
  auto* header = reinterpret_cast<DeltaHeader*>(PayloadOf(page));
  std::memcpy(PayloadOf(page) + sizeof(DeltaHeader) + size_t{header->count} * row_bytes, row,
              row_bytes);
  header->count++;
  SetPayloadUsed(page, sizeof(DeltaHeader) + size_t{header->count} * row_bytes);
}

void InitDelta(Page page, uint32_t row_bytes) {
  InitPage(page, PageKind::kDelta, 0);
  SpecialOf(page)->next = InvalidBlockNumber;
  *reinterpret_cast<DeltaHeader*>(PayloadOf(page)) = DeltaHeader{0, 0, row_bytes};
  SetPayloadUsed(page, sizeof(DeltaHeader));
}

/// Tries to append to the page; false when it is full, closed or no delta page any more.
bool AppendTo(Relation index, BlockNumber block, const char* row, uint32_t row_bytes) {
  Buffer buffer = ReadBuffer(index, block);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  Page page = BufferGetPage(buffer);
  bool fits = false;
  if (PageMatches(page, PageKind::kDelta, 0) && (SpecialOf(page)->flags & kDeltaClosed) == 0) {
    fits = ViewDelta(index, buffer, page, row_bytes).header->count < DeltaRowsPerPage(row_bytes);
  }
  if (fits) {
    GenericXLogState* state = GenericXLogStart(index);
    PutRow(GenericXLogRegisterBuffer(state, buffer, 0), row, row_bytes);
    GenericXLogFinish(state);
  }
  UnlockReleaseBuffer(buffer);
  return fits;
}

/// Makes the free space map reach to that page, so that VACUUM, which may be run because the disk
/// is full, has nothing to extend when it records what it has freed there.
void ExtendFreeSpaceMap(Relation index, BlockNumber block) {
  RecordPageWithFreeSpace(index, block, 0);
}

/// Adds a page with the row to the stripe. Locks the new page, then the metapage, then the stripe's
/// last page: inserters hold only the last, so the order cannot close a circle.
BlockNumber AppendToNewPage(Relation index, uint32_t stripe, const char* row, uint32_t row_bytes) {
  Buffer fresh = NewBuffer(index, MAIN_FORKNUM, nullptr);
  Buffer meta_buffer = ReadBuffer(index, kMetaBlock);
  LockBuffer(meta_buffer, BUFFER_LOCK_EXCLUSIVE);
  CheckPage(index, meta_buffer, PageKind::kMeta, 0);
  const BlockNumber block = BufferGetBlockNumber(fresh);
  const BlockNumber last = MetaOf(BufferGetPage(meta_buffer))->stripes[stripe].last;
  Buffer last_buffer = InvalidBuffer;

  GenericXLogState* state = GenericXLogStart(index);
  Page page = GenericXLogRegisterBuffer(state, fresh, GENERIC_XLOG_FULL_IMAGE);
  InitDelta(page, row_bytes);
  PutRow(page, row, row_bytes);
  DeltaStripe& entry = MetaOf(GenericXLogRegisterBuffer(state, meta_buffer, 0))->stripes[stripe];
  if (last != InvalidBlockNumber) {
    last_buffer = ReadBuffer(index, last);
    LockBuffer(last_buffer, BUFFER_LOCK_EXCLUSIVE);
    CheckPage(index, last_buffer, PageKind::kDelta, 0);
    SpecialOf(GenericXLogRegisterBuffer(state, last_buffer, 0))->next = block;
  } else {
    entry.first = block;
  }
  entry.last = block;
  entry.pages++;
  GenericXLogFinish(state);

  if (BufferIsValid(last_buffer)) UnlockReleaseBuffer(last_buffer);
  UnlockReleaseBuffer(meta_buffer);
  UnlockReleaseBuffer(fresh);
  ExtendFreeSpaceMap(index, block);
  return block;
}

}  // namespace

DeltaRows ViewDelta(Relation index, Buffer buffer, Page page, uint32_t row_bytes) {
  auto* header = reinterpret_cast<DeltaHeader*>(PayloadOf(page));
  if (PayloadUsed(page) < sizeof(DeltaHeader) || header->row_bytes != row_bytes ||
      PayloadUsed(page) != sizeof(DeltaHeader) + size_t{header->count} * row_bytes) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has a damaged delta page at block %u",
                           RelationGetRelationName(index), BufferGetBlockNumber(buffer)),
                    errhint("REINDEX the index.")));
  }
  return {header, PayloadOf(page) + sizeof(DeltaHeader)};
}

void DeltaHasSpace(Relation index, BlockNumber block, uint32_t rows, uint32_t row_bytes) {
  RecordPageWithFreeSpace(index, block, size_t{rows} * row_bytes);
}

void DeltaAppend(Relation index, const char* row, uint32_t row_bytes) {
  BlockNumber target = RelationGetTargetBlock(index);
  if (target != InvalidBlockNumber && AppendTo(index, target, row, row_bytes)) return;
  const uint32_t stripe = static_cast<uint32_t>(MyProcPid) % kDeltaStripes;
  const BlockNumber last = ReadMeta(index).stripes[stripe].last;
  if (last != InvalidBlockNumber && last != target && AppendTo(index, last, row, row_bytes)) {
    RelationSetTargetBlock(index, last);
    return;
  }
  // Pages that vacuum has made room in.
  BlockNumber block = GetPageWithFreeSpace(index, row_bytes);
  for (int i = 0; i < kFreePagesTried && block != InvalidBlockNumber; i++) {
    if (block < RelationGetNumberOfBlocks(index) && AppendTo(index, block, row, row_bytes)) {
      RelationSetTargetBlock(index, block);
      return;
    }
    block = RecordAndGetPageWithFreeSpace(index, block, 0, row_bytes);
  }
  RelationSetTargetBlock(index, AppendToNewPage(index, stripe, row, row_bytes));
}

void DeltaBuilder::Append(const char* row) {
  std::memcpy(page_ + size_t{count_} * row_bytes_, row, row_bytes_);
  if (++count_ == DeltaRowsPerPage(row_bytes_)) Flush();
}

void DeltaBuilder::Flush() {
  Buffer buffer = NewBuffer(index_, MAIN_FORKNUM, nullptr);
  Page page = BufferGetPage(buffer);
  InitDelta(page, row_bytes_);
  for (uint32_t i = 0; i < count_; i++) {
    PutRow(page, page_ + size_t{i} * row_bytes_, row_bytes_);
  }
  MarkBufferDirty(buffer);
  LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
  DeltaStripe& stripe = meta_->stripes[0];
  const BlockNumber block = BufferGetBlockNumber(buffer);
  if (BufferIsValid(last_)) {
    LockBuffer(last_, BUFFER_LOCK_EXCLUSIVE);
    SpecialOf(BufferGetPage(last_))->next = block;
    MarkBufferDirty(last_);
    UnlockReleaseBuffer(last_);
  } else {
    stripe.first = block;
  }
  stripe.last = block;
  stripe.pages++;
  last_ = buffer;
  count_ = 0;
}

void DeltaBuilder::Finish() {
  if (count_ > 0) Flush();
  if (BufferIsValid(last_)) {
    ExtendFreeSpaceMap(index_, BufferGetBlockNumber(last_));
    ReleaseBuffer(last_);
  }
  last_ = InvalidBuffer;
}

}  // namespace vdb::pg
