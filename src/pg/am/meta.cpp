#include "pg/am/meta.h"

#include "pg/compat.h"
#include "pg/type/vector.h"
#include "quant/code_layout.h"

namespace vdb::pg {

namespace {

/// Whether the fields are in range that sizes of codes and pages follow from.
bool IsSane(const MetaPage& meta) {
  return meta.dim >= 1 && meta.dim <= kMaxDim && meta.code_bits >= 1 &&
         meta.code_bits <= quant::kMaxBits && meta.metric >= 1 &&
         meta.metric <= static_cast<uint8_t>(Metric::kL1) && meta.element >= 1 &&
         meta.element <= static_cast<uint8_t>(ElementType::kFloat16);
}

/// Locks block 0 and checks that it is a metapage of a known version.
Buffer LockMeta(Relation index, int mode) {
  // Asking for the size is a system call, which each insert and search would feel: once for each
  // index in a row.
  static compat::RelationLocator looked_at = {};
  if (!compat::SameLocator(looked_at, compat::LocatorOf(index))) {
    if (RelationGetNumberOfBlocks(index) == 0) {
      ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                      errmsg("index \"%s\" has no metapage", RelationGetRelationName(index)),
                      errhint("REINDEX the index.")));
    }
    looked_at = compat::LocatorOf(index);
  }
  Buffer buffer = ReadBuffer(index, kMetaBlock);
  LockBuffer(buffer, mode);
  CheckPage(index, buffer, PageKind::kMeta, 0);
  const MetaPage* meta = MetaOf(BufferGetPage(buffer));
  if (meta->magic != kMetaMagic) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has a damaged metapage", RelationGetRelationName(index)),
                    errhint("REINDEX the index.")));
  }
  if (meta->format_version != kFormatVersion) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("index \"%s\" has format version %u, this vdb_ext reads version %u",
                           RelationGetRelationName(index), meta->format_version, kFormatVersion),
                    errhint("REINDEX the index, or install the vdb_ext that wrote it.")));
  }
  if (!IsSane(*meta)) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has a damaged metapage", RelationGetRelationName(index)),
                    errhint("REINDEX the index.")));
  }
  return buffer;
}

}  // namespace

MetaPage ReadMeta(Relation index) {
  Buffer buffer = LockMeta(index, BUFFER_LOCK_SHARE);
  const MetaPage meta = *MetaOf(BufferGetPage(buffer));
  UnlockReleaseBuffer(buffer);
  return meta;
}

bool HasMeta(Relation index) {
  if (RelationGetNumberOfBlocks(index) == 0) return false;
  Buffer buffer = ReadBuffer(index, kMetaBlock);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  const bool built = !PageIsNew(BufferGetPage(buffer));
  UnlockReleaseBuffer(buffer);
  return built;
}

void InitMetaPage(Page page, const MetaPage& meta) {
  InitPage(page, PageKind::kMeta, 0);
  *MetaOf(page) = meta;
  SetPayloadUsed(page, sizeof(MetaPage));
}

bool ReadWrappedKey(Relation index, crypto::WrappedKey* out) {
  *out = ReadMeta(index).wrapped_key;
  return out->present();
}

void WriteWrappedKey(Relation index, const crypto::WrappedKey& key) {
  Buffer buffer = LockMeta(index, BUFFER_LOCK_EXCLUSIVE);
  GenericXLogState* state = GenericXLogStart(index);
  Page page = GenericXLogRegisterBuffer(state, buffer, 0);
  MetaOf(page)->wrapped_key = key;
  GenericXLogFinish(state);
  UnlockReleaseBuffer(buffer);
}

}  // namespace vdb::pg
