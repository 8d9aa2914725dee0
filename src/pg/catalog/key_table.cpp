#include "pg/pg.h"

#include "pg/catalog/key_table.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strcat.h"
#include "crypto/secret.h"
#include "pg/catalog/own_table.h"
#include "pg/guard.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "catalog/pg_type_d.h"
#include "utils/timestamp.h"
}

namespace vdb::pg {
namespace {

constexpr Oid kTypes[] = {TEXTOID, BYTEAOID, TIMESTAMPTZOID};  // id, key, created
constexpr int kColumns = lengthof(kTypes);
constexpr OwnTable kTable = {"master_key", kTypes};

struct Row {
  char id[crypto::kMaxKeyIdBytes + 1];
  uint8_t key[crypto::kKeyBytes];
  TimestampTz created;
};

struct Rows {
  std::array<Row, crypto::kMaxRingKeys> rows;
  size_t size = 0;

  Rows() = default;
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows() { crypto::Wipe({reinterpret_cast<uint8_t*>(rows.data()), size * sizeof(Row)}); }
};

/// False: the row holds no key.
bool ReadRow(HeapTuple tuple, TupleDesc descriptor, Row* row) {
  Datum values[kColumns];
  bool nulls[kColumns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  if (nulls[0] || nulls[1] || nulls[2]) return false;
  const text* const id = DatumGetTextPP(values[0]);
  const bytea* const key = DatumGetByteaPP(values[1]);
  const size_t id_bytes = VARSIZE_ANY_EXHDR(id);
  if (id_bytes > crypto::kMaxKeyIdBytes || VARSIZE_ANY_EXHDR(key) != crypto::kKeyBytes)
    return false;
  *row = {};
  std::memcpy(row->id, VARDATA_ANY(id), id_bytes);
  std::memcpy(row->key, VARDATA_ANY(key), crypto::kKeyBytes);
  row->created = DatumGetTimestampTz(values[2]);
  return true;
}

// One less than can be read, should two sessions insert at a time.
constexpr size_t kMaxRows = crypto::kMaxRingKeys - 1;

void RaiseTooManyRows() {
  ereport(
      ERROR,
      (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
       errmsg("table \"vdb.master_key\" has too many rows"),
       errdetail("It can hold %zu generated master keys.", kMaxRows),
       errhint("Delete the rows that no index names in \"vdb.stat_index\".\"master_key_id\" and "
               "no backup needs.")));
}

void ReadRows(Rows* rows) {
  Relation table = OpenOwnTable(kTable, AccessShareLock);
  // A fresh snapshot, whatever the transaction's isolation: a key may have come since it began.
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    if (rows->size == rows->rows.size()) RaiseTooManyRows();
    if (!ReadRow(tuple, RelationGetDescr(table), &rows->rows[rows->size]))
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("table \"vdb.master_key\" has a malformed row")));
    rows->size++;
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
}

size_t CountRows(Relation table) {
  size_t rows = 0;
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (systable_getnext(scan) != nullptr) rows++;
  systable_endscan(scan);
  return rows;
}

void InsertRow(const Row& row) {
  if (RecoveryInProgress())
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                    errmsg("cannot generate a master key during recovery")));
  Relation table = OpenOwnTable(kTable, RowExclusiveLock);
  // Before the table has more than can be read, with which no encrypted index could be opened.
  if (CountRows(table) >= kMaxRows) RaiseTooManyRows();
  auto* const key = static_cast<bytea*>(palloc(VARHDRSZ + crypto::kKeyBytes));
  SET_VARSIZE(key, VARHDRSZ + crypto::kKeyBytes);
  std::memcpy(VARDATA(key), row.key, crypto::kKeyBytes);
  Datum values[kColumns] = {CStringGetTextDatum(row.id), PointerGetDatum(key),
                            TimestampTzGetDatum(row.created)};
  bool nulls[kColumns] = {false, false, false};
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
  heap_insert(table, tuple, GetCurrentCommandId(true), HEAP_INSERT_FROZEN, nullptr);
  explicit_bzero(VARDATA(key), crypto::kKeyBytes);
  explicit_bzero(tuple->t_data, tuple->t_len);
  heap_freetuple(tuple);
  table_close(table, RowExclusiveLock);
  ereport(NOTICE,
          (errmsg("generated a master key for the vdb indexes of this database"),
           errdetail("It is kept in the table \"vdb.master_key\", which only superusers can read."),
           errhint("Set vdb.master_key_command or vdb.master_key_file to keep it elsewhere.")));
}

}  // namespace

void AddGeneratedKeys(crypto::KeyRing* ring) {
  Rows found;
  Call([&] { ReadRows(&found); });
  const auto end = found.rows.begin() + static_cast<ptrdiff_t>(found.size);
  std::sort(found.rows.begin(), end, [](const Row& a, const Row& b) {
    return a.created != b.created ? a.created > b.created : std::strcmp(a.id, b.id) < 0;
  });
  for (auto row = found.rows.begin(); row != end; ++row) {
    if (ring->Find(row->id) != nullptr) continue;
    // Settings have keys as well: the oldest rows are left out.
    if (ring->size() == crypto::kMaxRingKeys) break;
    ThrowIfError(ring->Add(row->id, crypto::SecretKey(row->key)));
  }
}

void GenerateMasterKey() {
  Result<crypto::SecretKey> key = crypto::SecretKey::Random();
  ThrowIfError(key.status());
  Rows rows;
  Row& row = rows.rows[0];
  rows.size = 1;
  row = {};
  strlcpy(row.id, crypto::KeyFingerprint(*key).c_str(), sizeof(row.id));
  std::memcpy(row.key, key->data(), crypto::kKeyBytes);
  row.created = GetCurrentTimestamp();
  Call([&] { InsertRow(row); });
}

}  // namespace vdb::pg
