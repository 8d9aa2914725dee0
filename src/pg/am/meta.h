/// The metapage (block 0): what an index is, and the roots of everything in it. Format version 2.
///
/// Readers take a copy under a share lock. The generation grows with each publish of a new
/// directory: a backend that opened generation g notices at its next search that the metapage says
/// otherwise. tombstone_version grows when vacuum has marked rows of segments dead.
#pragma once

#include "base/metric.h"
#include "crypto/wrapped_key.h"
#include "format/shape.h"
#include "pg/am/page.h"

namespace vdb::pg {

inline constexpr uint32_t kMetaMagic = 0x31626476;  // "vdb1"
inline constexpr BlockNumber kMetaBlock = 0;
/// Inserters spread over this many chains of delta pages.
inline constexpr uint32_t kDeltaStripes = 4;

enum class StoreKind : uint8_t { kLocal = 0, kRemote = 1 };

/// A chain of delta pages. `last` is where inserters look; `pages` counts the chain for the
/// planner.
struct DeltaStripe {
  BlockNumber first, last;
  uint32_t pages;
};

/// A manifest in a remote store.
struct ManifestRef {
  uint8_t id[32];  // BLAKE3 of its bytes
  uint64_t bytes;  // 0: there is none
};

struct MetaPage {
  uint32_t magic;
  uint32_t format_version;
  uint8_t metric;         // Metric
  uint8_t element;        // ElementType
  uint8_t code_bits;      // 1..8
  uint8_t encrypted;      // objects are sealed with keys under data_key
  uint8_t store;          // StoreKind
  uint8_t store_vectors;  // objects have region C
  uint16_t mean_unset;    // built on no rows: the first insert's vector becomes the mean
  uint32_t dim;
  uint32_t chunk_size;    // rows a chunk object, about
  Oid server;             // of a remote store, else InvalidOid
  uint32_t lists_option;  // as asked for at build; 0 = automatic
  uint64_t generation;
  uint64_t tombstone_version;
  uint8_t uuid[16];                // zero until the index has an object
  crypto::WrappedKey wrapped_key;  // zero until the index has an object
  BlockNumber parameters;          // chain: rotation signs, mean
  BlockNumber directory;           // chain: segments; InvalidBlockNumber: none
  BlockNumber free_list;           // chain: retired extents
  BlockNumber intent;              // extents of an unfinished seal
  uint32_t next_segment;           // number for the next segment; the first is 1
  float recall_target;             // what the build calibrated for
  uint64_t segment_rows;           // rows in segments when published, dead ones included
  uint64_t segment_lists;          // lists of all segments, for the planner
  float mean_lists;                // calibrated lists and rows a search, for the planner
  float mean_rows;
  DeltaStripe stripes[kDeltaStripes];
  // Of a remote store: where its objects are named for the cluster and the database that built it.
  Oid database;
  uint64_t incarnation;
  // Its manifest of this generation, and of the one before.
  ManifestRef manifest, parent;
};
static_assert(sizeof(MetaPage) <= 1024);

/// Whether the objects lie in the index's own pages.
inline bool IsLocal(const MetaPage& meta) {
  return meta.store == static_cast<uint8_t>(StoreKind::kLocal);
}

/// Bytes of a row's vector in region C; 0: there is no region C.
inline uint32_t VectorBytesOf(const MetaPage& meta) {
  return meta.store_vectors == 0
             ? 0
             : format::VectorBytes(meta.dim, static_cast<ElementType>(meta.element));
}

/// A copy of the metapage. ereports XX002 when block 0 is missing, zero or not ours, and 0A000 for
/// a format version this code does not know.
MetaPage ReadMeta(Relation index);

/// Whether it has been built: an invalid index, that of a CREATE INDEX CONCURRENTLY which did not
/// come to its end, may have no metapage. ereports.
bool HasMeta(Relation index);

/// The metapage of a page, to change under an exclusive lock (inside a generic WAL record).
inline MetaPage* MetaOf(Page page) { return reinterpret_cast<MetaPage*>(PayloadOf(page)); }

/// Makes `page` a metapage with that content.
void InitMetaPage(Page page, const MetaPage& meta);

/// The wrapped data key. False: the index has none yet (no object was made, or it is not
/// encrypted).
bool ReadWrappedKey(Relation index, crypto::WrappedKey* out);
/// Replaces it, WAL-logged.
void WriteWrappedKey(Relation index, const crypto::WrappedKey& key);

}  // namespace vdb::pg
