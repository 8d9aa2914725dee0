#include "pg/pg.h"

#include "pg/catalog/store_owner.h"

#include <cstring>

#include "pg/catalog/own_table.h"

extern "C" {
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "foreign/foreign.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
}

namespace vdb::pg {
namespace {

enum Column : AttrNumber {
  kServer = 1,
  kPrefix,
  kSeed,
  kToken,
  kPending,
  kName,
  kCluster,
  kBuiltAs,
};
constexpr int kColumns = kBuiltAs;
constexpr Oid kTypes[kColumns] = {OIDOID,   TEXTOID, BYTEAOID, BYTEAOID,
                                  BYTEAOID, TEXTOID, INT8OID,  OIDOID};
constexpr OwnTable kTable = {"store_owner", kTypes};

/// One worker at a time finds that there is no row, or changes one. Not by a lock on the table:
/// DROP SERVER holds one that would conflict until its transaction ends, in which an index of
/// another store may be built; its session would wait for its worker, which nobody sees as a
/// deadlock.
Relation OpenForWrite() {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  LOCKTAG tag;
  // A sub-object that the table does not have: workers alone know of it.
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, RelationGetRelid(table), 1);
  (void)LockAcquire(&tag, ExclusiveLock, false, false);
  return table;
}

HeapTuple Form(Relation table, const OwnerRow& row) {
  Datum values[kColumns] = {};
  bool nulls[kColumns] = {};
  nulls[kToken - 1] = !row.has_token;
  nulls[kPending - 1] = !row.has_pending;
  values[kServer - 1] = ObjectIdGetDatum(row.server);
  values[kPrefix - 1] = CStringGetTextDatum(row.prefix);
  values[kSeed - 1] = ByteaDatum(row.seed, sizeof(row.seed));
  values[kToken - 1] = ByteaDatum(row.token, sizeof(row.token));
  values[kPending - 1] = ByteaDatum(row.pending, sizeof(row.pending));
  values[kName - 1] = CStringGetTextDatum(row.name);
  values[kCluster - 1] = Int64GetDatum(static_cast<int64>(row.cluster));
  values[kBuiltAs - 1] = ObjectIdGetDatum(row.built_as);
  return heap_form_tuple(RelationGetDescr(table), values, nulls);
}

/// False when it is null.
template <size_t kBytes>
bool ReadBytes(HeapTuple tuple, TupleDesc descriptor, Column column, uint8_t (&to)[kBytes]) {
  bool null;
  const Datum value = heap_getattr(tuple, column, descriptor, &null);
  if (null) return false;
  const bytea* const bytes = DatumGetByteaPP(value);
  if (VARSIZE_ANY_EXHDR(bytes) != kBytes) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("table \"vdb.store_owner\" has a malformed row")));
  }
  std::memcpy(to, VARDATA_ANY(bytes), kBytes);
  return true;
}

Datum NotNull(HeapTuple tuple, TupleDesc descriptor, Column column) {
  bool null;
  const Datum value = heap_getattr(tuple, column, descriptor, &null);
  if (null) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("table \"vdb.store_owner\" has a malformed row")));
  }
  return value;
}

/// Everything but the key.
void ReadValues(HeapTuple tuple, TupleDesc descriptor, OwnerRow* row) {
  ReadBytes(tuple, descriptor, kSeed, row->seed);
  row->has_token = ReadBytes(tuple, descriptor, kToken, row->token);
  row->has_pending = ReadBytes(tuple, descriptor, kPending, row->pending);
  text_to_cstring_buffer(DatumGetTextPP(NotNull(tuple, descriptor, kName)), row->name,
                         sizeof(row->name));
  row->cluster = static_cast<uint64_t>(DatumGetInt64(NotNull(tuple, descriptor, kCluster)));
  row->built_as = DatumGetObjectId(NotNull(tuple, descriptor, kBuiltAs));
}

void ReadRow(HeapTuple tuple, TupleDesc descriptor, OwnerRow* row) {
  *row = {};
  row->server = DatumGetObjectId(NotNull(tuple, descriptor, kServer));
  text_to_cstring_buffer(DatumGetTextPP(NotNull(tuple, descriptor, kPrefix)), row->prefix,
                         sizeof(row->prefix));
  ReadValues(tuple, descriptor, row);
}

/// What a new row says of its server.
void Describe(OwnerRow* row) {
  strlcpy(row->name, GetForeignServer(row->server)->servername, sizeof(row->name));
  row->cluster = GetSystemIdentifier();
  row->built_as = row->server;
}

/// The row for server and prefix of `row`. False: none. `self` may be null.
bool Find(Relation table, OwnerRow* row, ItemPointer self) {
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], kServer, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(row->server));
  ScanKeyInit(&keys[1], kPrefix, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(row->prefix));
  SysScanDesc scan =
      systable_beginscan(table, PrimaryKeyOf(table), true, nullptr, lengthof(keys), keys);
  HeapTuple tuple = systable_getnext(scan);
  const bool found = HeapTupleIsValid(tuple);
  if (found) {
    ReadValues(tuple, RelationGetDescr(table), row);
    if (self != nullptr) *self = tuple->t_self;
  }
  systable_endscan(scan);
  return found;
}

void Update(Relation table, ItemPointer self, const OwnerRow& row) {
  HeapTuple tuple = Form(table, row);
  CatalogTupleUpdate(table, self, tuple);
}

}  // namespace

bool ReadOwner(Oid server, const char* prefix, OwnerRow* row) {
  *row = {};
  row->server = server;
  strlcpy(row->prefix, prefix, sizeof(row->prefix));
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  const bool found = Find(table, row, nullptr);
  table_close(table, AccessShareLock);
  return found;
}

std::span<OwnerRow> ReadOwners() {
  size_t n = 0, room = 8;
  auto* rows = static_cast<OwnerRow*>(palloc(room * sizeof(OwnerRow)));
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    if (n == room) {
      room *= 2;
      rows = static_cast<OwnerRow*>(repalloc(rows, room * sizeof(OwnerRow)));
    }
    ReadRow(tuple, RelationGetDescr(table), &rows[n]);
    explicit_bzero(rows[n].seed, sizeof(rows[n].seed));
    n++;
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return {rows, n};
}

void MoveOwners(std::span<const ServerMove> moves) {
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  ReplaceRows(table, [&](HeapTuple tuple) -> HeapTuple {
    OwnerRow row;
    ReadRow(tuple, RelationGetDescr(table), &row);
    const ServerMove* const move = MoveOf(moves, row.server, row.prefix);
    if (move == nullptr) return nullptr;
    row.server = move->to;
    if (move->known) row.cluster = GetSystemIdentifier();
    return Form(table, row);
  });
  table_close(table, RowExclusiveLock);
}

bool RenameOwners(Oid server, const char* name) {
  if (!OidIsValid(OwnRelationIfAny(kTable.name))) return false;
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  ScanKeyData key;
  ScanKeyInit(&key, kServer, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(server));
  SysScanDesc scan = systable_beginscan(table, PrimaryKeyOf(table), true, nullptr, 1, &key);
  bool any = false;
  while (HeapTuple tuple = systable_getnext(scan)) {
    OwnerRow row;
    ReadRow(tuple, RelationGetDescr(table), &row);
    strlcpy(row.name, name, sizeof(row.name));
    Update(table, &tuple->t_self, row);
    any = true;
  }
  systable_endscan(scan);
  table_close(table, NoLock);
  return any;
}

bool OwnersSay(Oid server, const char* name) {
  for (const OwnerRow& row : ReadOwners()) {
    if (row.server == server && std::strcmp(row.name, name) == 0) return true;
  }
  return false;
}

void EnsureOwner(OwnerRow* row) {
  Relation table = OpenForWrite();
  OwnerRow now = *row;
  Describe(&now);
  ItemPointerData self;
  if (!Find(table, row, &self)) {
    *row = now;
    CatalogTupleInsert(table, Form(table, *row));
  } else if (std::strcmp(row->name, now.name) != 0) {
    strlcpy(row->name, now.name, sizeof(row->name));
    Update(table, &self, *row);
  }
  table_close(table, NoLock);
}

void WriteOwner(const OwnerRow& row) {
  Relation table = OpenForWrite();
  OwnerRow before = row;
  ItemPointerData self;
  if (Find(table, &before, &self)) {
    OwnerRow after = before;
    after.has_token = row.has_token;
    after.has_pending = row.has_pending;
    std::memcpy(after.token, row.token, sizeof(after.token));
    std::memcpy(after.pending, row.pending, sizeof(after.pending));
    Update(table, &self, after);
  } else {
    OwnerRow added = row;
    Describe(&added);
    CatalogTupleInsert(table, Form(table, added));
  }
  table_close(table, NoLock);
}

void ConfirmOwner(const OwnerRow& row) {
  Relation table = OpenForWrite();
  OwnerRow now = row;
  ItemPointerData self;
  if (Find(table, &now, &self) && now.has_pending &&
      std::memcmp(now.pending, row.pending, sizeof(row.pending)) == 0) {
    std::memcpy(now.token, now.pending, sizeof(now.token));
    now.has_token = true;
    now.has_pending = false;
    Update(table, &self, now);
  }
  table_close(table, NoLock);
}

void ForgetOwners(Oid server) {
  // Any server that is dropped comes here, and DROP EXTENSION may have taken the tables already.
  if (!OidIsValid(OwnRelationIfAny(kTable.name))) return;
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, kServer, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(server));
  SysScanDesc scan = systable_beginscan(table, PrimaryKeyOf(table), true, nullptr, 1, &key);
  while (HeapTuple tuple = systable_getnext(scan)) {
    LockRelationOid(RelationGetRelid(table), RowExclusiveLock);
    CatalogTupleDelete(table, &tuple->t_self);
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
}

}  // namespace vdb::pg
