#include "pg/pg.h"

#include "pg/catalog/ledger.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "pg/catalog/own_table.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type_d.h"
#include "utils/fmgroids.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"
}

namespace vdb::pg {
namespace {

// The columns, by number.
enum Column : AttrNumber {
  kId = 1,
  kServer,
  kOwner,
  kDatabase,
  kIndex,
  kName,
  kSize,
  kBuilder,
  kCreated,
  kUnreferencedSince,
  kUnreferencedLsn,
};
constexpr int kColumns = kUnreferencedLsn;
constexpr Oid kTypes[kColumns] = {BYTEAOID,       OIDOID,         OIDOID,   OIDOID,
                                  UUIDOID,        TEXTOID,        INT8OID,  XID8OID,
                                  TIMESTAMPTZOID, TIMESTAMPTZOID, PG_LSNOID};
constexpr OwnTable kTable = {"object", kTypes};

void Insert(Relation table, const LedgerRow& row) {
  auto* const index = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
  std::memcpy(index->data, row.index, sizeof(index->data));
  Datum values[kColumns] = {};
  bool nulls[kColumns] = {};
  values[kId - 1] = ByteaDatum(row.key.id, sizeof(row.key.id));
  values[kServer - 1] = ObjectIdGetDatum(row.key.server);
  values[kOwner - 1] = ObjectIdGetDatum(row.owner);
  values[kDatabase - 1] = ObjectIdGetDatum(row.database);
  values[kIndex - 1] = UUIDPGetDatum(index);
  values[kName - 1] = CStringGetTextDatum(row.name);
  values[kSize - 1] = Int64GetDatum(static_cast<int64>(row.size));
  values[kBuilder - 1] = FullTransactionIdGetDatum(row.builder);
  values[kCreated - 1] = TimestampTzGetDatum(row.created);
  nulls[kUnreferencedSince - 1] = nulls[kUnreferencedLsn - 1] = true;
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
  CatalogTupleInsert(table, tuple);
  heap_freetuple(tuple);
}

/// Calls found(tuple) for the row of `key`, if it is there.
template <class Found>
void Find(Relation table, const LedgerKey& key, Found&& found) {
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], kId, BTEqualStrategyNumber, F_BYTEAEQ, ByteaDatum(key.id, sizeof(key.id)));
  ScanKeyInit(&keys[1], kServer, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(key.server));
  SysScanDesc scan =
      systable_beginscan(table, PrimaryKeyOf(table), true, nullptr, lengthof(keys), keys);
  if (HeapTuple tuple = systable_getnext(scan)) found(tuple);
  systable_endscan(scan);
}

bool ReadRow(HeapTuple tuple, TupleDesc descriptor, LedgerRow* row) {
  Datum values[kColumns];
  bool nulls[kColumns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  if (std::any_of(nulls, nulls + kCreated, [](bool null) { return null; })) return false;
  const bytea* const id = DatumGetByteaPP(values[kId - 1]);
  const text* const name = DatumGetTextPP(values[kName - 1]);
  if (VARSIZE_ANY_EXHDR(id) != sizeof(row->key.id) ||
      VARSIZE_ANY_EXHDR(name) > store::kMaxNameBytes) {
    return false;
  }
  *row = {};
  std::memcpy(row->key.id, VARDATA_ANY(id), sizeof(row->key.id));
  row->key.server = DatumGetObjectId(values[kServer - 1]);
  row->owner = DatumGetObjectId(values[kOwner - 1]);
  row->database = DatumGetObjectId(values[kDatabase - 1]);
  std::memcpy(row->index, DatumGetUUIDP(values[kIndex - 1])->data, sizeof(row->index));
  std::memcpy(row->name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
  row->size = static_cast<uint64_t>(DatumGetInt64(values[kSize - 1]));
  row->builder = DatumGetFullTransactionId(values[kBuilder - 1]);
  row->created = DatumGetTimestampTz(values[kCreated - 1]);
  if (!nulls[kUnreferencedSince - 1] && !nulls[kUnreferencedLsn - 1]) {
    row->unreferenced_since = DatumGetTimestampTz(values[kUnreferencedSince - 1]);
    row->unreferenced_lsn = DatumGetLSN(values[kUnreferencedLsn - 1]);
  }
  return true;
}

}  // namespace

Oid LedgerTable() { return OwnRelationIfAny(kTable.name); }

void AddToLedger(std::span<const LedgerRow> rows) {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  for (const LedgerRow& row : rows) Insert(table, row);
  table_close(table, RowExclusiveLock);
}

void ForgetInLedger(std::span<const LedgerKey> keys) {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  for (const LedgerKey& key : keys) {
    Find(table, key, [&](HeapTuple tuple) { CatalogTupleDelete(table, &tuple->t_self); });
  }
  table_close(table, RowExclusiveLock);
}

void MarkInLedger(std::span<const LedgerMark> marks) {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  for (const LedgerMark& mark : marks) {
    Find(table, mark.key, [&](HeapTuple tuple) {
      Datum values[kColumns] = {};
      bool nulls[kColumns] = {};
      bool replace[kColumns] = {};
      values[kUnreferencedSince - 1] = TimestampTzGetDatum(mark.since);
      values[kUnreferencedLsn - 1] = LSNGetDatum(mark.lsn);
      nulls[kUnreferencedSince - 1] = nulls[kUnreferencedLsn - 1] = mark.since == 0;
      replace[kUnreferencedSince - 1] = replace[kUnreferencedLsn - 1] = true;
      HeapTuple changed = heap_modify_tuple(tuple, RelationGetDescr(table), values, nulls, replace);
      CatalogTupleUpdate(table, &changed->t_self, changed);
      heap_freetuple(changed);
    });
  }
  table_close(table, RowExclusiveLock);
}

void MoveInLedger(std::span<const ServerMove> moves) {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  const TupleDesc descriptor = RelationGetDescr(table);
  ReplaceRows(table, [&](HeapTuple tuple) -> HeapTuple {
    LedgerRow row;
    if (!ReadRow(tuple, descriptor, &row)) return nullptr;
    const std::string_view prefix = PrefixOfName(row.name);
    if (prefix.empty()) return nullptr;
    row.name[prefix.size()] = '\0';
    const ServerMove* const move = MoveOf(moves, row.key.server, row.name);
    if (move == nullptr || move->to == row.key.server) return nullptr;
    Datum values[kColumns] = {};
    bool nulls[kColumns] = {};
    bool replace[kColumns] = {};
    values[kServer - 1] = ObjectIdGetDatum(move->to);
    replace[kServer - 1] = true;
    return heap_modify_tuple(tuple, descriptor, values, nulls, replace);
  });
  table_close(table, RowExclusiveLock);
}

void VisitLedger(LedgerVisitor visit, void* context) {
  LedgerRow row;
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  // A fresh snapshot, whatever the transaction's isolation.
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    if (!ReadRow(tuple, RelationGetDescr(table), &row)) {
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("table \"vdb.object\" has a malformed row")));
    }
    if (!visit(row, context)) break;
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
}

TimestampTz StoredAt(const LedgerKey& key) {
  TimestampTz created = 0;
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  Find(table, key, [&](HeapTuple tuple) {
    bool isnull;
    const Datum value = heap_getattr(tuple, kCreated, RelationGetDescr(table), &isnull);
    if (!isnull) created = DatumGetTimestampTz(value);
  });
  table_close(table, AccessShareLock);
  return created;
}

uint64_t CountLedger(Oid server) {
  if (!OidIsValid(LedgerTable())) return 0;
  uint64_t n = 0;
  ForEachLedgerRow([&](const LedgerRow& row) {
    const bool counts =
        row.database == MyDatabaseId && (!OidIsValid(server) || row.key.server == server);
    n += counts ? 1 : 0;
    return true;
  });
  return n;
}

}  // namespace vdb::pg
