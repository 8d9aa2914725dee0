#include "pg/am/inspect.h"

#include <algorithm>
#include <cstring>

#include "base/strcat.h"
#include "pg/am/chain.h"
#include "pg/am/delta.h"
#include "pg/am/handler.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "utils/acl.h"
}

namespace vdb::pg {

void RequireReadableIndex(Relation relation) {
  const char* const name = RelationGetRelationName(relation);
  const char kind = relation->rd_rel->relkind;
  if (kind == RELKIND_PARTITIONED_INDEX) {
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is a partitioned index", name),
             errhint("Name one of the indexes of its partitions.")));
  }
  if (kind != RELKIND_INDEX || relation->rd_indam->ambuild != vdb_am_build) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a vdb index", name)));
  }
  if (RELATION_IS_OTHER_TEMP(relation)) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot access temporary indexes of other sessions")));
  }
  if (RecoveryInProgress() && relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot access temporary or unlogged indexes during recovery")));
  }
  if (!relation->rd_index->indisvalid) {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("index \"%s\" is not valid", name), errhint("REINDEX the index or drop it.")));
  }
}

void RequireIndexOwner(Oid oid) {
  if (compat::OwnsRelation(oid, GetUserId())) return;
  const char* const name = get_rel_name(oid);
  if (name == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("index %u does not exist", oid)));
  }
  aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, name);
}

Relation OpenOwnedIndex(Oid oid) {
  RequireIndexOwner(oid);
  Relation relation = relation_open(oid, AccessShareLock);
  RequireReadableIndex(relation);
  return relation;
}

Relation TryOpenIndex(Oid oid) {
  if (!ConditionalLockRelationOid(oid, AccessShareLock)) return nullptr;
  Relation relation = try_relation_open(oid, NoLock);
  if (relation == nullptr) {
    UnlockRelationOid(oid, AccessShareLock);
    return nullptr;
  }
  RequireReadableIndex(relation);
  return relation;
}

Status DamagedIndex(Relation index, const std::string& what) {
  return Corruption(StrCat("index \"", RelationGetRelationName(index), "\" is damaged: ", what))
      .WithHint("REINDEX the index.");
}

std::vector<SegmentEntry> ReadSegments(Relation index, const MetaPage& meta) {
  if (meta.directory == InvalidBlockNumber) return {};
  const std::vector<uint8_t> bytes = ReadChain(index, meta.directory, PageKind::kDirectory);
  Result<std::vector<SegmentEntry>> parsed = ParseDirectory(bytes.data(), bytes.size());
  if (!parsed.ok()) ThrowIfError(DamagedIndex(index, parsed.status().message()));
  return std::move(parsed).value();
}

std::vector<uint32_t> ReadDeadCounts(Relation index, const SegmentHeader& segment) {
  std::vector<uint32_t> dead(segment.n_lists);
  for (uint32_t page = 0; size_t{page} * kDeadCountsPerPage < dead.size(); page++) {
    const size_t done = size_t{page} * kDeadCountsPerPage;
    const size_t bytes =
        std::min<size_t>(kDeadCountsPerPage, dead.size() - done) * sizeof(uint32_t);
    uint32_t* const target = dead.data() + done;
    const bool complete = Call([&] {
      CHECK_FOR_INTERRUPTS();
      Buffer buffer =
          ReadPage(index, segment.dead + page, PageKind::kListDead, segment.segment, nullptr);
      const bool enough = PayloadUsed(BufferGetPage(buffer)) >= bytes;
      if (enough) std::memcpy(target, PayloadOf(BufferGetPage(buffer)), bytes);
      UnlockReleaseBuffer(buffer);
      return enough;
    });
    if (!complete) {
      ThrowIfError(
          DamagedIndex(index, StrCat("block ", segment.dead + page, " holds too few counts")));
    }
  }
  return dead;
}

DeltaSize MeasureDelta(Relation index, const MetaPage& meta) {
  const uint32_t row_bytes = DeltaRowBytes(LayoutOf(meta));
  return Call([&] {
    DeltaSize size = {};
    BufferAccessStrategy ring = GetAccessStrategy(BAS_BULKREAD);
    for (const DeltaStripe& stripe : meta.stripes) {
      for (BlockNumber block = stripe.first; block != InvalidBlockNumber;) {
        CHECK_FOR_INTERRUPTS();
        Buffer buffer = ReadPage(index, block, PageKind::kDelta, 0, ring);
        Page page = BufferGetPage(buffer);
        size.rows += ViewDelta(index, buffer, page, row_bytes).header->count;
        size.pages++;
        block = SpecialOf(page)->next;
        UnlockReleaseBuffer(buffer);
      }
    }
    FreeAccessStrategy(ring);
    return size;
  });
}

RegionBytes RegionsOf(const MetaPage& meta, const SegmentEntry& segment) {
  const quant::CodeLayout layout = LayoutOf(meta);
  RegionBytes bytes = {};
  for (const uint32_t rows : segment.list_rows) {
    bytes.a += (rows + quant::kBlockVectors - 1) / quant::kBlockVectors * layout.block_bytes();
  }
  bytes.b = segment.header.n_rows * layout.ex_record_bytes();
  bytes.c = segment.header.n_rows * VectorBytesOf(meta);
  return bytes;
}

uint64_t PagesOf(const std::vector<Extent>& extents) {
  uint64_t pages = 0;
  for (const Extent& extent : extents) pages += extent.pages;
  return pages;
}

}  // namespace vdb::pg
