/// The delta: fresh rows, a TID and the first part of a row code about the mean each, in pages of
/// their own.
///
/// Payload of a kDelta page: DeltaHeader, then `count` rows of row_bytes each: ItemPointerData,
/// then the code's first part (quant/code_layout.h). Rows are appended; vacuum closes the gaps of
/// dead ones. Pages of a stripe are chained. Inserters lock one page and nothing else; only a full
/// page leads to the metapage. A page with kDeltaClosed takes no more rows (a seal is reading it):
/// inserters look at the flag under the content lock.
#pragma once

#include "pg/am/meta.h"
#include "quant/code_layout.h"

namespace vdb::pg {

inline constexpr uint16_t kDeltaClosed = 1;

struct DeltaHeader {
  uint16_t count;
  uint16_t reserved;
  uint32_t row_bytes;
};
static_assert(sizeof(DeltaHeader) == 8);

inline constexpr uint32_t DeltaRowBytes(const quant::CodeLayout& layout) {
  return static_cast<uint32_t>(sizeof(ItemPointerData) + layout.first_bytes());
}
inline constexpr uint32_t DeltaRowsPerPage(uint32_t row_bytes) {
  return static_cast<uint32_t>((kPagePayload - sizeof(DeltaHeader)) / row_bytes);
}

/// A delta page's content under the caller's lock. ereports XX002 when counts or sizes cannot be.
struct DeltaRows {
  DeltaHeader* header;
  char* rows;

  char* row(uint32_t i) const { return rows + size_t{i} * header->row_bytes; }
  ItemPointer tid(uint32_t i) const { return reinterpret_cast<ItemPointer>(row(i)); }
  const uint8_t* code(uint32_t i) const {
    return reinterpret_cast<const uint8_t*>(row(i)) + sizeof(ItemPointerData);
  }
};
DeltaRows ViewDelta(Relation index, Buffer buffer, Page page, uint32_t row_bytes);

/// Appends one row (row_bytes: TID and code), WAL-logged. May ereport.
void DeltaAppend(Relation index, const char* row, uint32_t row_bytes);

/// Remembers in the free space map that a delta page has room for `rows` more. A hint: the map is
/// not WAL-logged and may be wrong, so an inserter looks at the page itself.
void DeltaHasSpace(Relation index, BlockNumber block, uint32_t rows, uint32_t row_bytes);

/// Rows of a build that made no segment: packs them into stripe chains of `meta`, without WAL.
class DeltaBuilder {
 public:
  DeltaBuilder(Relation index, MetaPage* meta, uint32_t row_bytes)
      : index_(index), meta_(meta), row_bytes_(row_bytes) {}
  void Append(const char* row);
  /// Writes what is left. Must be called once at the end.
  void Finish();

 private:
  void Flush();
  Relation index_;
  MetaPage* meta_;
  uint32_t row_bytes_;
  uint32_t count_ = 0;
  Buffer last_ = InvalidBuffer;  // the chain's last page, pinned, to get its successor
  char page_[kPagePayload];
};

/// A TID as one number, ordered like TIDs: block << 16 | offset.
inline uint64_t PackTid(const ItemPointerData& tid) {
  return uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} << 16 |
         ItemPointerGetOffsetNumberNoCheck(&tid);
}
inline ItemPointerData UnpackTid(uint64_t packed) {
  ItemPointerData tid;
  ItemPointerSet(&tid, static_cast<BlockNumber>(packed >> 16),
                 static_cast<OffsetNumber>(packed & 0xffff));
  return tid;
}

}  // namespace vdb::pg
