/// vdb.index_stats, the row of an index in the view vdb.stat_index; vdb.index_objects.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "format/geometry.h"
#include "pg/am/index_server.h"
#include "pg/am/inspect.h"
#include "pg/compat.h"
#include "pg/am/settings.h"
#include "pg/guard.h"
#include "pg/store/object_reader.h"

extern "C" {
#include "foreign/foreign.h"
#include "catalog/pg_authid_d.h"
#include "utils/acl.h"
}

namespace vdb::pg {

namespace {

// Stored bytes of each object that vdb.index_objects shows: enough to tell a document from noise.
constexpr size_t kHeadBytes = 16;

/// What the index's option `store` would say. ereports.
const char* StoreName(Relation index, const MetaPage& meta) {
  if (IsLocal(meta)) return kLocalStore;
  return GetForeignServer(RequireServerOf(index, meta))->servername;
}

Datum Number(uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); }

/// What is summed up over the segments.
struct SegmentTotals {
  uint64_t segments, rows, lists, dead, objects, routing_bytes, tid_pages;
  RegionBytes regions;
  float probes, probes_p80;
  uint64_t queries;
  double recall;  // times the rows it was measured for
  uint64_t recall_rows;
  SegmentHeader largest;
};

SegmentTotals SumSegments(Relation index, const MetaPage& meta) {
  SegmentTotals totals = {};
  for (const SegmentEntry& segment : ReadSegments(index, meta)) {
    const SegmentHeader& header = segment.header;
    const std::vector<uint32_t> dead = ReadDeadCounts(index, header);
    totals.segments++;
    totals.dead = std::accumulate(dead.begin(), dead.end(), totals.dead);
    totals.rows += header.n_rows;
    totals.lists += header.n_lists;
    totals.objects += 1 + segment.chunks.size();
    totals.routing_bytes += segment.routing.header.plain_bytes;
    for (const ObjectEntry& chunk : segment.chunks) totals.tid_pages += PagesOf(chunk.tid_extents);
    const RegionBytes regions = RegionsOf(meta, segment);
    totals.regions.a += regions.a;
    totals.regions.b += regions.b;
    totals.regions.c += regions.c;
    // A search probes every segment; what it finds is found in them by their share of the rows.
    totals.probes += header.mean_lists;
    totals.probes_p80 += header.p80_lists;
    totals.queries += header.calibration_queries;
    if (header.measured_recall >= 0) {
      totals.recall += static_cast<double>(header.measured_recall) * header.n_rows;
      totals.recall_rows += header.n_rows;
    }
    if (header.n_rows > totals.largest.n_rows) totals.largest = header;
  }
  return totals;
}

/// The row of vdb.index_stats, for a descriptor of its columns. Null: the index cannot be opened
/// now.
Datum StatsOf(Oid oid, TupleDesc descriptor, bool* isnull) {
  Relation index = Call([&] { return TryOpenIndex(oid); });
  *isnull = index == nullptr;
  if (*isnull) return 0;
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const SegmentTotals totals = SumSegments(index, meta);
  const DeltaSize delta = MeasureDelta(index, meta);
  const bool searched = totals.rows > 0;
  const bool measured = totals.recall_rows > 0;
  return Call([&] {
    const uint64_t size = uint64_t{RelationGetNumberOfBlocks(index)} * BLCKSZ;
    const char* const store = StoreName(index, meta);
    relation_close(index, AccessShareLock);
    const auto real = [](double value) { return Float4GetDatum(static_cast<float>(value)); };
    const struct {
      Datum value;
      bool present = true;
    } columns[] = {
        {CStringGetTextDatum(NameOf(static_cast<Metric>(meta.metric)))},
        {CStringGetTextDatum(NameOf(static_cast<ElementType>(meta.element)))},
        {Int32GetDatum(static_cast<int32>(meta.dim))},
        {Int32GetDatum(meta.code_bits)},
        {CStringGetTextDatum(store)},
        {BoolGetDatum(meta.encrypted != 0)},
        {CStringGetTextDatum(
             pnstrdup(meta.wrapped_key.key_id,
                      strnlen(meta.wrapped_key.key_id, sizeof(meta.wrapped_key.key_id)))),
         meta.wrapped_key.present()},
        {Number(meta.generation)},
        {Number(totals.rows - std::min(totals.dead, totals.rows) + delta.rows)},
        {Number(totals.lists)},
        {Number(totals.segments)},
        {Number(delta.rows)},
        {Number(totals.dead)},
        {Number(size)},
        {Number(totals.regions.a)},
        {Number(totals.regions.b)},
        {Number(totals.regions.c)},
        {Number(totals.routing_bytes)},
        {Number(totals.tid_pages * BLCKSZ)},
        {Number(delta.pages * BLCKSZ)},
        {Number(totals.objects)},
        {Float4GetDatum(meta.recall_target)},
        {Float4GetDatum(totals.largest.theta), searched},
        {Float4GetDatum(totals.probes), searched},
        {Float4GetDatum(totals.probes_p80), searched},
        {real(measured ? totals.recall / static_cast<double>(totals.recall_rows) : 0), measured},
        {Number(totals.queries), searched},
    };
    Datum values[lengthof(columns)];
    bool nulls[lengthof(columns)];
    for (size_t i = 0; i < lengthof(columns); i++) {
      values[i] = columns[i].value;
      nulls[i] = !columns[i].present;
    }
    return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
  });
}

/// Errors that say that this index cannot be looked into, damaged or otherwise; the rest (cancel,
/// no memory) are about the query.
bool IsAboutIndex(int sqlstate) {
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR):  // XX: damage
    case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):    // 58: input and output, missing files
    case ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED):
    case ERRCODE_TO_CATEGORY(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE):
      return true;
    default:
      return false;
  }
}

/// StatsOf for the view of all indexes: null and a WARNING where that one fails.
Datum StatsOrWarning(Oid oid, TupleDesc descriptor, bool* isnull) {
  Datum row = 0;
  ErrorData* const error =
      Attempt("vdb_index_stats", [&] { row = StatsOf(oid, descriptor, isnull); });
  if (error == nullptr) return row;
  *isnull = true;
  Call([&] {
    if (!IsAboutIndex(error->sqlerrcode)) ReThrowError(error);
    // No longer valid, as REINDEX CONCURRENTLY leaves the index that it has replaced: the view,
    // whose snapshot is older, would not show it any more.
    if (error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE) {
      FreeErrorData(error);
      return;
    }
    const char* const name = get_rel_name(oid);
    ereport(WARNING, (errcode(error->sqlerrcode),
                      errmsg("could not look into index \"%s\"", name == nullptr ? "?" : name),
                      errdetail_internal("%s", error->message),
                      error->hint != nullptr ? errhint("%s", error->hint) : 0));
    FreeErrorData(error);
  });
  return 0;
}

/// One object as vdb.index_objects shows it.
struct ObjectRow {
  uint32_t segment;
  uint64_t number;
  bool routing;
  const ObjectEntry* entry;
  uint32_t lists;
  uint64_t rows;
  uint8_t head[kHeadBytes];
  size_t head_bytes;
};

void EmitObject(ReturnSetInfo* result, const MetaPage& meta, const ObjectRow& row) {
  Call([&] {
    const ObjectHeader& header = row.entry->header;
    char id[2 * sizeof(header.id) + 1];
    hex_encode(reinterpret_cast<const char*>(header.id), sizeof(header.id), id);
    id[2 * sizeof(header.id)] = '\0';
    auto* head = static_cast<bytea*>(palloc(VARHDRSZ + row.head_bytes));
    SET_VARSIZE(head, VARHDRSZ + row.head_bytes);
    std::memcpy(VARDATA(head), row.head, row.head_bytes);
    Datum values[] = {
        Int32GetDatum(static_cast<int32>(row.segment)),
        Int32GetDatum(static_cast<int32>(row.number)),
        CStringGetTextDatum(row.routing ? "routing" : "chunk"),
        CStringGetTextDatum(id),
        Number(format::StoredBytes(header.plain_bytes)),
        Number(header.plain_bytes),
        Number(format::FrameCount(header.plain_bytes)),
        Number(row.lists),
        Number(row.rows),
        BoolGetDatum(meta.encrypted != 0),
        PointerGetDatum(head),
    };
    bool nulls[lengthof(values)] = {};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    pfree(head);
  });
}

/// Its first stored bytes are read from the index's pages, past the cache.
void ListObjects(Relation index, ReturnSetInfo* result) {
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const std::vector<SegmentEntry> segments = ReadSegments(index, meta);
  uint64_t number = 0;
  for (const SegmentEntry& segment : segments) {
    const std::unique_ptr<ObjectReader> reader =
        NewObjectReader(index, meta, segment.header.segment);
    const auto emit = [&](const ObjectEntry& entry, bool routing, uint32_t lists, uint64_t rows) {
      ObjectRow row = {segment.header.segment, number++, routing, &entry, lists, rows, {}, 0};
      row.head_bytes = std::min<size_t>(kHeadBytes, format::StoredBytes(entry.header.plain_bytes));
      ThrowIfError(reader->ReadStored(entry, 0, {row.head, row.head_bytes}));
      EmitObject(result, meta, row);
    };
    emit(segment.routing, true, segment.header.n_lists, segment.header.n_rows);
    for (const ObjectEntry& chunk : segment.chunks) {
      const auto first = segment.list_rows.begin() + chunk.header.first_list;
      emit(chunk, false, chunk.header.n_lists,
           std::accumulate(first, first + chunk.header.n_lists, uint64_t{0}));
    }
  }
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_index_stats) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry("vdb_index_stats", [&]() -> Datum {
    const Oid oid = PG_GETARG_OID(0);
    const bool strict = PG_GETARG_BOOL(1);
    TupleDesc descriptor = Call([&] {
      TupleDesc found;
      if (get_call_result_type(fcinfo, nullptr, &found) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "return type must be a row type");
      }
      return BlessTupleDesc(found);
    });
    return (strict ? StatsOf : StatsOrWarning)(oid, descriptor, &fcinfo->isnull);
  });
}

VDB_FUNCTION(vdb_index_objects) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry("vdb_index_objects", [&]() -> Datum {
    const Oid oid = PG_GETARG_OID(0);
    Relation index = Call([&] {
      if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR)) RequireIndexOwner(oid);
      Relation relation = relation_open(oid, AccessShareLock);
      RequireReadableIndex(relation);
      InitMaterializedSRF(fcinfo, 0);
      return relation;
    });
    ListObjects(index, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    Call([&] { relation_close(index, AccessShareLock); });
    return 0;
  });
}
