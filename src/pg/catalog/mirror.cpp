#include "pg/pg.h"

#include "pg/catalog/mirror.h"

#include <cstring>

#include "pg/am/inspect.h"
#include "pg/catalog/own_table.h"

extern "C" {
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type_d.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/uuid.h"
}

namespace vdb::pg {
namespace {

// The columns, by number. Both tables begin with the index's oid, and their keys with it.
constexpr AttrNumber kIndexOid = 1;
enum ManifestColumn : AttrNumber {
  kUuid = 2,
  kEpoch,
  kCid,
  kParent,
  kDimensions,
  kMetric,
  kElementType,
  kChunkSize,
  kTotalVectors,
  kLists,
  kCreated,
};
constexpr int kManifestColumns = kCreated;
constexpr Oid kManifestTypes[kManifestColumns] = {OIDOID,  UUIDOID, INT8OID, TEXTOID,
                                                  TEXTOID, INT4OID, TEXTOID, TEXTOID,
                                                  INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID};
constexpr OwnTable kManifests = {"manifest", kManifestTypes};
enum ChunkColumn : AttrNumber {
  kNumber = 2,
  kId,
  kChunkCid,
  kVectorCount,
  kByteSize,
  kFirstList,
  kLastList,
};
constexpr int kChunkColumns = kLastList;
constexpr Oid kChunkTypes[kChunkColumns] = {OIDOID,  INT4OID, TEXTOID, TEXTOID,
                                            INT8OID, INT8OID, INT8OID, INT8OID};
constexpr OwnTable kChunks = {"chunk", kChunkTypes};

Datum Number(uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); }
Datum Text(const std::string& text) { return CStringGetTextDatum(text.c_str()); }

Datum HexDatum(const format::ObjectId& id) {
  return DirectFunctionCall2(
      binary_encode,
      PointerGetDatum(cstring_to_text_with_len(reinterpret_cast<const char*>(id.data()),
                                               static_cast<int>(id.size()))),
      CStringGetTextDatum("hex"));
}

/// Calls found(tuple) for the rows of an index.
template <class Found>
void ForEachRow(Relation table, Oid index, Found&& found) {
  ScanKeyData key;
  ScanKeyInit(&key, kIndexOid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(index));
  SysScanDesc scan = systable_beginscan(table, PrimaryKeyOf(table), true, nullptr, 1, &key);
  while (HeapTuple tuple = systable_getnext(scan)) found(tuple);
  systable_endscan(scan);
}

void Forget(const OwnTable& own, Oid index) {
  Relation table = OpenOwnTable(own, RowExclusiveLock);
  ForEachRow(table, index, [&](HeapTuple tuple) { CatalogTupleDelete(table, &tuple->t_self); });
  table_close(table, RowExclusiveLock);
}

void AddManifest(Oid index, const format::Manifest& manifest, const std::string& cid,
                 TimestampTz created) {
  auto* const uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
  std::memcpy(uuid->data, manifest.index.data(), sizeof(uuid->data));
  Datum values[kManifestColumns] = {};
  bool nulls[kManifestColumns] = {};
  values[kIndexOid - 1] = ObjectIdGetDatum(index);
  values[kUuid - 1] = UUIDPGetDatum(uuid);
  values[kEpoch - 1] = Number(manifest.epoch);
  values[kCid - 1] = Text(cid);
  nulls[kParent - 1] = !manifest.parent.has_value();
  if (manifest.parent.has_value()) values[kParent - 1] = Text(*manifest.parent);
  values[kDimensions - 1] = Int32GetDatum(static_cast<int32>(manifest.dimensions));
  values[kMetric - 1] = CStringGetTextDatum(NameOf(manifest.metric));
  values[kElementType - 1] = CStringGetTextDatum(NameOf(manifest.element));
  values[kChunkSize - 1] = Int32GetDatum(static_cast<int32>(manifest.chunk_size));
  values[kTotalVectors - 1] = Number(manifest.total_vectors);
  values[kLists - 1] = Number(manifest.lists);
  values[kCreated - 1] = TimestampTzGetDatum(created);
  Relation table = OpenOwnTable(kManifests, RowExclusiveLock);
  CatalogTupleInsert(table, heap_form_tuple(RelationGetDescr(table), values, nulls));
  table_close(table, RowExclusiveLock);
}

void AddChunks(Oid index, const format::Manifest& manifest) {
  Relation table = OpenOwnTable(kChunks, RowExclusiveLock);
  CatalogIndexState indexes = CatalogOpenIndexes(table);
  for (size_t i = 0; i < manifest.chunks.size(); i++) {
    const format::ManifestChunk& chunk = manifest.chunks[i];
    Datum values[kChunkColumns] = {};
    bool nulls[kChunkColumns] = {};
    values[kIndexOid - 1] = ObjectIdGetDatum(index);
    values[kNumber - 1] = Int32GetDatum(static_cast<int32>(i));
    values[kId - 1] = HexDatum(chunk.object.id);
    values[kChunkCid - 1] = Text(chunk.object.cid);
    values[kVectorCount - 1] = Number(chunk.vectors);
    values[kByteSize - 1] = Number(chunk.object.bytes);
    values[kFirstList - 1] = Number(chunk.first_list);
    values[kLastList - 1] = Number(uint64_t{chunk.first_list} + chunk.lists - 1);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
    CatalogTupleInsertWithInfo(table, tuple, indexes);
    heap_freetuple(tuple);
  }
  CatalogCloseIndexes(indexes);
  table_close(table, RowExclusiveLock);
}

}  // namespace

bool HasMirror() {
  return OidIsValid(OwnRelationIfAny(kManifests.name)) &&
         OidIsValid(OwnRelationIfAny(kChunks.name));
}

void LockMirror() { LockRelationOid(OwnRelation(kManifests.name), ShareUpdateExclusiveLock); }

const char* MirroredManifest(Oid index) {
  if (!HasMirror()) return nullptr;
  const char* cid = nullptr;
  Relation table = OpenOwnTable(kManifests, AccessShareLock);
  ForEachRow(table, index, [&](HeapTuple tuple) {
    bool isnull;
    const Datum value = heap_getattr(tuple, kCid, RelationGetDescr(table), &isnull);
    if (!isnull) cid = TextDatumGetCString(value);
  });
  table_close(table, AccessShareLock);
  return cid;
}

List* MirroredIndexes() {
  List* indexes = NIL;
  Relation table = OpenOwnTable(kManifests, AccessShareLock);
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    bool isnull;
    const Datum oid = heap_getattr(tuple, kIndexOid, RelationGetDescr(table), &isnull);
    if (!isnull) indexes = lappend_oid(indexes, DatumGetObjectId(oid));
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return indexes;
}

void AddToMirror(Oid index, const format::Manifest& manifest, const std::string& cid,
                 TimestampTz created) {
  AddManifest(index, manifest, cid, created);
  AddChunks(index, manifest);
}

void ForgetInMirror(Oid index) {
  Forget(kChunks, index);
  Forget(kManifests, index);
}

}  // namespace vdb::pg
