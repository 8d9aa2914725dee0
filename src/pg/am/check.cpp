/// vdb.check(index, full).
#include "pg/am/check.h"

#include "pg/am/opclass.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
}

namespace vdb::pg {

namespace {

/// Table and index, open and locked, and who we were before.
struct Opened {
  Relation table, index;
  LOCKMODE table_lock;
  Oid user;
  int security;
  int settings_level;
};

/// Only the owner may, since expressions of the index run, and they run with the owner's rights,
/// whoever calls. In full nothing may vacuum meanwhile: a row's TID could come back.
Opened Open(Oid oid, bool full) {
  Opened opened = {};
  RequireIndexOwner(oid);
  const Oid table = IndexGetRelation(oid, true);
  const bool standby = RecoveryInProgress();
  opened.table_lock = full && !standby ? ShareUpdateExclusiveLock : AccessShareLock;
  if (OidIsValid(table)) opened.table = table_open(table, opened.table_lock);
  // Errors put the user back by themselves.
  GetUserIdAndSecContext(&opened.user, &opened.security);
  if (opened.table != nullptr) {
    SetUserIdAndSecContext(opened.table->rd_rel->relowner,
                           opened.security | SECURITY_RESTRICTED_OPERATION);
    opened.settings_level = NewGUCNestLevel();
    compat::RestrictFunctionLookup();
  }
  opened.index = relation_open(oid, AccessShareLock);
  RequireReadableIndex(opened.index);
  // Between the look-up and the lock the index may have gone and another have taken its oid.
  if (opened.table == nullptr || table != IndexGetRelation(oid, false)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("could not open the table of index \"%s\"",
                                                      RelationGetRelationName(opened.index))));
  }
  return opened;
}

void Close(const Opened& opened) {
  AtEOXact_GUC(false, opened.settings_level);
  SetUserIdAndSecContext(opened.user, opened.security);
  relation_close(opened.index, AccessShareLock);
  table_close(opened.table, opened.table_lock);
}

/// A snapshot whose every row the index must have. ereports 40001 when the transaction's own is too
/// old for the index.
Snapshot TakeSnapshot(Relation index) {
  Snapshot snapshot = RegisterSnapshot(GetTransactionSnapshot());
  if (IsolationUsesXactSnapshot() && index->rd_index->indcheckxmin &&
      !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
                             snapshot->xmin)) {
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("index \"%s\" cannot be checked using the transaction's snapshot",
                           RelationGetRelationName(index))));
  }
  return snapshot;
}

/// What the metapage says of the index, as far as it can be told without the directory.
const char* MetaFault(Relation index, const MetaPage& meta, const OpclassInfo& opclass) {
  const int32 dim = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
  if (meta.metric != static_cast<uint8_t>(opclass.metric) ||
      meta.element != static_cast<uint8_t>(opclass.element)) {
    return "its metapage is for another operator class";
  }
  if (meta.dim != static_cast<uint32_t>(dim)) return "its metapage is for another dimension";
  if (meta.code_bits < 1 || meta.code_bits > quant::kMaxBits || meta.encrypted > 1 ||
      meta.store_vectors > 1 || meta.store > static_cast<uint8_t>(StoreKind::kRemote)) {
    return "its metapage makes no sense";
  }
  const bool has_objects = meta.directory != InvalidBlockNumber;
  if (meta.wrapped_key.present() != (has_objects && meta.encrypted != 0)) {
    return has_objects ? "its data key is missing" : "it has a data key and no object";
  }
  return nullptr;
}

/// The directory against what the metapage says.
const char* DirectoryFault(const MetaPage& meta, const std::vector<SegmentEntry>& segments) {
  uint64_t rows = 0, lists = 0;
  for (size_t i = 0; i < segments.size(); i++) {
    const SegmentHeader& header = segments[i].header;
    rows += header.n_rows;
    lists += header.n_lists;
    if (header.segment == 0 || header.segment >= meta.next_segment) {
      return "a segment's number is out of range";
    }
    for (size_t j = 0; j < i; j++) {
      if (segments[j].header.segment == header.segment) return "two segments have one number";
    }
  }
  if (rows != meta.segment_rows || lists != meta.segment_lists) {
    return "its metapage and its segment directory disagree";
  }
  return nullptr;
}

/// table: null unless in full.
CheckCounts CheckIndex(Relation index, bool full, TableCheck* table) {
  CheckCounts counts = {};
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const OpclassInfo& opclass = *Call([&] { return &OpclassOf(index); });
  const char* fault = MetaFault(index, meta, opclass);
  if (fault != nullptr) ThrowIfError(DamagedIndex(index, fault));

  PageUse use(index);
  use.Take(kMetaBlock);
  TidSink sink;
  if (table != nullptr) sink = [table](std::span<const uint64_t> tids) { table->Add(tids); };
  PageChecker pages(index, meta, &use, std::move(sink));
  pages.Parameters();
  const std::vector<uint8_t> bytes = pages.Chain(meta.directory, PageKind::kDirectory);
  std::vector<SegmentEntry> segments;
  if (meta.directory != InvalidBlockNumber) {
    Result<std::vector<SegmentEntry>> parsed = ParseDirectory(bytes.data(), bytes.size());
    if (!parsed.ok()) ThrowIfError(DamagedIndex(index, parsed.status().message()));
    segments = std::move(parsed).value();
  }
  fault = DirectoryFault(meta, segments);
  if (fault != nullptr) ThrowIfError(DamagedIndex(index, fault));
  // What lies in them is maintenance's own; here it counts that nothing else uses their pages.
  pages.Chain(meta.free_list, PageKind::kFreeList);
  pages.Chain(meta.intent, PageKind::kIntent);

  // The delta first: rows move from it to segments.
  counts.delta_rows = pages.Delta();
  ObjectChecker objects(index, meta, &use, full);
  for (const SegmentEntry& segment : segments) {
    counts.lists += segment.header.n_lists;
    counts.rows += segment.header.n_rows;
    counts.dead += pages.Segment(segment);
    objects.Segment(segment, &counts);
  }
  return counts;
}

CheckCounts Check(const Opened& opened, bool full) {
  if (!full) return CheckIndex(opened.index, false, nullptr);
  Snapshot snapshot = Call([&] { return TakeSnapshot(opened.index); });
  TableCheck table(opened.table, opened.index, snapshot,
                   opened.table_lock == ShareUpdateExclusiveLock);
  const CheckCounts counts = CheckIndex(opened.index, true, &table);
  table.Run();
  Call([&] { UnregisterSnapshot(snapshot); });
  return counts;
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_check) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry("vdb_check", [&] {
    const Oid oid = PG_GETARG_OID(0);
    const bool full = PG_GETARG_BOOL(1);
    const Opened opened = Call([&] { return Open(oid, full); });
    const CheckCounts counts = Check(opened, full);
    return Call([&] {
      Close(opened);
      TupleDesc descriptor;
      if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "return type must be a row type");
      }
      const auto number = [](uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); };
      Datum values[] = {number(counts.objects),   number(counts.frames), number(counts.bytes),
                        number(counts.lists),     number(counts.rows),   number(counts.dead),
                        number(counts.delta_rows)};
      bool nulls[lengthof(values)] = {};
      return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
    });
  });
}
