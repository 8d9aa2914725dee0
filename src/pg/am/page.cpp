#include "pg/am/page.h"

namespace vdb::pg {

void InitPage(Page page, PageKind kind, uint32_t segment) {
  PageInit(page, BLCKSZ, sizeof(PageSpecial));
  PageSpecial* special = SpecialOf(page);
  special->next = InvalidBlockNumber;
  special->segment = segment;
  special->kind = kind;
  special->flags = 0;
  special->reserved = 0;
  special->magic = kPageMagic;
}

void SetPayloadUsed(Page page, size_t bytes) {
  Assert(bytes <= kPagePayload);
  reinterpret_cast<PageHeader>(page)->pd_lower =
      static_cast<LocationIndex>(kPageHeaderBytes + bytes);
}

bool IsVdbPage(Page page) {
  // A zeroed page (an extension that a crash cut short) has none of this.
  const auto* header = reinterpret_cast<PageHeader>(page);
  return !PageIsNew(page) && PageGetSpecialSize(page) == sizeof(PageSpecial) &&
         header->pd_special == BLCKSZ - sizeof(PageSpecial) &&
         header->pd_lower >= kPageHeaderBytes && header->pd_lower <= header->pd_special &&
         SpecialOf(page)->magic == kPageMagic;
}

bool PageMatches(Page page, PageKind kind, uint32_t segment) {
  return IsVdbPage(page) && SpecialOf(page)->kind == kind && SpecialOf(page)->segment == segment;
}

void CheckPage(Relation index, Buffer buffer, PageKind kind, uint32_t segment) {
  Page page = BufferGetPage(buffer);
  if (likely(PageMatches(page, kind, segment))) return;
  const BlockNumber block = BufferGetBlockNumber(buffer);
  if (!IsVdbPage(page)) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has %s at block %u", RelationGetRelationName(index),
                           PageIsNew(page) ? "an unexpected zero page" : "a corrupted page", block),
                    errhint("REINDEX the index.")));
  }
  const PageSpecial* special = SpecialOf(page);
  ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                  errmsg("index \"%s\" has another page than expected at block %u",
                         RelationGetRelationName(index), block),
                  errdetail_internal("Expected kind %d of segment %u, found kind %d of segment %u.",
                                     static_cast<int>(kind), segment,
                                     static_cast<int>(special->kind), special->segment),
                  errhint("REINDEX the index.")));
}

}  // namespace vdb::pg
