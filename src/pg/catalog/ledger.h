/// The ledger, vdb.object: a row for every object in a remote store, committed before the object's
/// first byte is sent, and removed after the object has been: what an aborted or crashed build, a
/// DROP or a TRUNCATE leaves in a store is found by it. Read and written without SQL, by the worker
/// and vdb.gc alone. All of it ereports.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "pg/catalog/server_move.h"
#include "pg/pg.h"
#include "store/object_store.h"

namespace vdb::pg {

struct LedgerKey {
  uint8_t id[32];  // BLAKE3 of the stored bytes
  Oid server;
};

struct LedgerRow {
  LedgerKey key;
  Oid owner;          // the role whose user mapping it was stored with
  Oid database;       // that stored it: another one's, where this one is a copy of a template
  uint8_t index[16];  // uuid of the generation of an index
  uint64_t size;
  FullTransactionId builder;  // of the (sub)transaction that publishes it
  TimestampTz created;
  TimestampTz unreferenced_since;  // 0: not known to be
  XLogRecPtr unreferenced_lsn;     // of WAL that ends with nothing referring to it
  char name[store::kMaxNameBytes + 1];
};

struct LedgerMark {
  LedgerKey key;
  TimestampTz since;  // 0: something does refer to it
  XLogRecPtr lsn;
};

static_assert(std::is_trivially_copyable_v<LedgerRow>);
static_assert(std::is_trivially_copyable_v<LedgerMark>);

void AddToLedger(std::span<const LedgerRow> rows);
/// Removes rows; such as are gone already are none of its business.
void ForgetInLedger(std::span<const LedgerKey> keys);
void MarkInLedger(std::span<const LedgerMark> marks);
/// Rows of those servers name them by the oids that the moves say.
void MoveInLedger(std::span<const ServerMove> moves);

using LedgerVisitor = bool (*)(const LedgerRow& row, void* context);
void VisitLedger(LedgerVisitor visit, void* context);

/// Calls visit(row) for all rows as of now, whatever the transaction's snapshot, until it returns
/// false. The row is valid during the call.
template <class Visit>
void ForEachLedgerRow(Visit visit) {
  VisitLedger([](const LedgerRow& row, void* v) { return (*static_cast<Visit*>(v))(row); }, &visit);
}

/// When the object's row was added; 0: there is none.
TimestampTz StoredAt(const LedgerKey& key);

/// Rows of this database's own objects, of one server or (InvalidOid) of all, as of now.
uint64_t CountLedger(Oid server);

/// The ledger's oid; InvalidOid: the extension is not in this database.
Oid LedgerTable();

}  // namespace vdb::pg
