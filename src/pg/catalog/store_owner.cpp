#include "pg/pg.h"

#include "pg/catalog/store_owner.h"

#include <cstring>

#include "pg/catalog/own_table.h"

extern "C" {
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "storage/lock.h"
#include "utils/fmgroids.h"
}

namespace vdb::pg {
namespace {

enum Column : AttrNumber { kServer = 1, kPrefix, kSeed, kToken, kPending };
constexpr int kColumns = kPending;
constexpr Oid kTypes[kColumns] = {OIDOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
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
  bool nulls[kColumns] = {false, false, false, !row.has_token, !row.has_pending};
  values[kServer - 1] = ObjectIdGetDatum(row.server);
  values[kPrefix - 1] = CStringGetTextDatum(row.prefix);
  values[kSeed - 1] = ByteaDatum(row.seed, sizeof(row.seed));
  values[kToken - 1] = ByteaDatum(row.token, sizeof(row.token));
  values[kPending - 1] = ByteaDatum(row.pending, sizeof(row.pending));
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
    ReadBytes(tuple, RelationGetDescr(table), kSeed, row->seed);
    row->has_token = ReadBytes(tuple, RelationGetDescr(table), kToken, row->token);
    row->has_pending = ReadBytes(tuple, RelationGetDescr(table), kPending, row->pending);
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

void EnsureOwner(OwnerRow* row) {
  Relation table = OpenForWrite();
  if (!Find(table, row, nullptr)) CatalogTupleInsert(table, Form(table, *row));
  table_close(table, NoLock);
}

void WriteOwner(const OwnerRow& row) {
  Relation table = OpenForWrite();
  OwnerRow before = row;
  ItemPointerData self;
  if (Find(table, &before, &self)) {
    OwnerRow after = row;
    std::memcpy(after.seed, before.seed, sizeof(after.seed));
    Update(table, &self, after);
  } else {
    CatalogTupleInsert(table, Form(table, row));
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
