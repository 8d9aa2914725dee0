/// Pages of a vdb index: what every page has in common. Format version 2.
///
/// A page is a standard PostgreSQL page with an 16-byte special area that names its kind and
/// segment, so that a reader who came for another page notices. Payload begins after the page
/// header (MAXALIGNed, 24 bytes) and ends at pd_lower; generic WAL and full-page images drop what
/// lies between pd_lower and the special area.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

inline constexpr uint32_t kFormatVersion = 2;
inline constexpr uint16_t kPageMagic = 0x7644;  // "Dv"

enum class PageKind : uint16_t {
  kMeta = 1,    // block 0
  kParameters,  // rotation signs and mean: a chain
  kDirectory,   // segment directory: a chain
  kObject,      // stored bytes of an object, one stream over the pages of its extents
  kTids,        // TIDs and dead bits in slot order
  kDelta,       // fresh rows
  kFreeList,    // retired extents: a chain
  kIntent,      // extents being written by an unfinished seal
  kListDead,    // dead rows of each list of a segment
};

struct PageSpecial {
  BlockNumber next;  // of a chain; InvalidBlockNumber at its end and on pages without one
  uint32_t segment;  // 0: belongs to no segment
  PageKind kind;
  uint16_t flags;  // kDelta: kDeltaClosed
  uint16_t reserved;
  uint16_t magic;  // kPageMagic, last, where page inspection tools look
};
static_assert(sizeof(PageSpecial) == 16);

inline constexpr size_t kPageHeaderBytes = MAXALIGN(SizeOfPageHeaderData);
/// Payload bytes of a page: 8152 with 8 kB blocks.
inline constexpr size_t kPagePayload = BLCKSZ - kPageHeaderBytes - sizeof(PageSpecial);

inline PageSpecial* SpecialOf(Page page) {
  return reinterpret_cast<PageSpecial*>(PageGetSpecialPointer(page));
}
inline char* PayloadOf(Page page) { return reinterpret_cast<char*>(page) + kPageHeaderBytes; }
inline size_t PayloadUsed(Page page) {
  return reinterpret_cast<PageHeader>(page)->pd_lower - kPageHeaderBytes;
}

/// An empty page of that kind.
void InitPage(Page page, PageKind kind, uint32_t segment);
/// Moves pd_lower to `bytes` of payload.
void SetPayloadUsed(Page page, size_t bytes);
/// Whether this is a page of ours at all: not zeroed, and its header and special area make sense.
bool IsVdbPage(Page page);
/// Whether it is a page of ours, of that kind and segment.
bool PageMatches(Page page, PageKind kind, uint32_t segment);
/// ereports ERRCODE_INDEX_CORRUPTED (XX002), naming index and block, unless the page is a vdb page
/// of that kind and segment.
void CheckPage(Relation index, Buffer buffer, PageKind kind, uint32_t segment);

/// A run of consecutive pages.
struct Extent {
  BlockNumber start;
  uint32_t pages;
};
static_assert(sizeof(Extent) == 8);

}  // namespace vdb::pg
