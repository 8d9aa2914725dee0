/// Looking into an index without searching it, for statistics and checks: everything here is in the
/// index's pages, so neither a key nor a store is needed.
///
/// What takes a Relation may throw ErrorPending; what opens one ereports.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "pg/am/directory.h"
#include "pg/am/meta.h"
#include "quant/code_layout.h"

namespace vdb::pg {

/// ereports unless this is a vdb index that this backend can read: 42809 not one; 55000 not valid;
/// 0A000 another session's temporary index, or an unlogged one during recovery.
void RequireReadableIndex(Relation relation);

/// ereports 42501 unless the current user owns that relation.
void RequireIndexOwner(Oid oid);

/// Opens and share-locks an index of the current user's. ereports as RequireReadableIndex and
/// RequireIndexOwner.
Relation OpenOwnedIndex(Oid oid);

/// Opens and share-locks an index without waiting. Null: it is gone, or another session holds it
/// exclusively (it is being dropped or rebuilt). ereports as RequireReadableIndex.
Relation TryOpenIndex(Oid oid);

/// XX002: the index is damaged, and how.
Status DamagedIndex(Relation index, const std::string& what);

inline quant::CodeLayout LayoutOf(const MetaPage& meta) {
  return {quant::PaddedDim(meta.dim), meta.code_bits};
}

/// The segments that the metapage's directory lists. Throws XX002.
std::vector<SegmentEntry> ReadSegments(Relation index, const MetaPage& meta);

/// Dead rows of each list of a segment, as its kListDead pages count them. Throws XX002.
std::vector<uint32_t> ReadDeadCounts(Relation index, const SegmentHeader& segment);

struct DeltaSize {
  uint64_t pages, rows;
};
/// Walks the delta's chains. Throws XX002.
DeltaSize MeasureDelta(Relation index, const MetaPage& meta);

/// Plaintext bytes of the regions of all chunks of a segment.
struct RegionBytes {
  uint64_t a, b, c;
};
RegionBytes RegionsOf(const MetaPage& meta, const SegmentEntry& segment);

uint64_t PagesOf(const std::vector<Extent>& extents);

}  // namespace vdb::pg
