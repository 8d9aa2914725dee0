/// vdb.rotate_master_key(): brings every index of the database under the current master key.
#include "pg/pg.h"

#include <cstring>
#include <string>
#include <vector>

#include "crypto/wrapped_key.h"
#include "pg/am/meta.h"
#include "pg/catalog/index_list.h"
#include "pg/catalog/key_table.h"
#include "pg/catalog/keys.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "utils/tuplestore.h"
}

namespace vdb::pg {
namespace {

struct Leftover {
  Oid index;
  std::string key_id, reason;
};

/// An index that is open and locked until this goes. Errors release both by themselves.
struct Opened {
  enum State { kOpen, kGone, kBusy, kForeignTemporary, kUnfinished } state;
  Relation relation;
};

Opened Open(Oid index) {
  // Never waits: a lock on an index taken before its table's could deadlock.
  if (!ConditionalLockRelationOid(index, RowExclusiveLock)) return {Opened::kBusy, nullptr};
  Relation relation = try_relation_open(index, NoLock);
  if (relation == nullptr) {
    UnlockRelationOid(index, RowExclusiveLock);
    return {Opened::kGone, nullptr};
  }
  Opened::State state = Opened::kOpen;
  if (RELATION_IS_OTHER_TEMP(relation)) {
    state = Opened::kForeignTemporary;
  } else if (!relation->rd_index->indisvalid && !HasMeta(relation)) {
    state = Opened::kUnfinished;
  }
  if (state == Opened::kOpen) return {state, relation};
  relation_close(relation, RowExclusiveLock);
  return {state, nullptr};
}

/// Rewraps one index. An empty reason: it is under the current key now, or has none.
Leftover Rewrap(Relation index, const crypto::KeyRing& ring) {
  crypto::WrappedKey wrapped;
  if (!Call([&] { return ReadWrappedKey(index, &wrapped); })) return {};
  if (crypto::IsUnderCurrentKey(ring, wrapped)) return {};
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  crypto::Uuid uuid;
  std::memcpy(uuid.data(), meta.uuid, uuid.size());
  Result<crypto::SecretKey> key = crypto::UnwrapDataKey(ring, uuid, wrapped);
  if (!key.ok()) {
    const std::string id(wrapped.key_id, strnlen(wrapped.key_id, sizeof(wrapped.key_id)));
    return {RelationGetRelid(index), id, key.status().message()};
  }
  HeldKey held;
  held.Hold(std::move(key).value());
  Result<crypto::WrappedKey> rewrapped = crypto::WrapDataKey(ring, uuid, held.key());
  ThrowIfError(rewrapped.status());
  const crypto::WrappedKey& fresh = *rewrapped;
  Call([&] { WriteWrappedKey(index, fresh); });
  return {};
}

Leftover RotateIndex(Oid oid, const crypto::KeyRing& ring) {
  const Opened opened = Call([&] { return Open(oid); });
  switch (opened.state) {
    case Opened::kGone:
      return {};
    case Opened::kBusy:
      return {oid, "", "the index is being rebuilt or dropped"};
    case Opened::kForeignTemporary:
      return {oid, "", "the index belongs to another session's temporary table"};
    case Opened::kUnfinished:
      return {oid, "", "the index is being built"};
    case Opened::kOpen:
      break;
  }
  Leftover leftover = Rewrap(opened.relation, ring);
  Call([&] { relation_close(opened.relation, RowExclusiveLock); });
  return leftover;
}

void EmitRow(ReturnSetInfo* result, const Leftover& leftover) {
  const char* const key_id = leftover.key_id.c_str();
  const char* const reason = leftover.reason.c_str();
  const Oid index = leftover.index;
  Call([&] {
    Datum values[] = {ObjectIdGetDatum(index), CStringGetTextDatum(key_id),
                      CStringGetTextDatum(reason)};
    bool nulls[] = {false, key_id[0] == '\0', false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  });
}

Datum RotateMasterKey(FunctionCallInfo fcinfo) {
  Call([&] {
    if (RecoveryInProgress())
      ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                      errmsg("cannot rotate the master key during recovery")));
    InitMaterializedSRF(fcinfo, 0);
  });
  // The sources say what is current now, whatever was kept.
  ForgetMasterKeys();
  if (!HaveKeySettings()) GenerateMasterKey();
  List* const indexes = Call([] { return VdbIndexes(); });
  for (int i = 0; i < list_length(indexes); ++i) {
    // Asked again for each index: the ring is only valid until the next call, and cheap to make.
    const Leftover leftover = RotateIndex(list_nth_oid(indexes, i), MasterKeys(true));
    if (!leftover.reason.empty())
      EmitRow(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo), leftover);
    Call([] { CHECK_FOR_INTERRUPTS(); });
  }
  return Datum{0};
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_rotate_master_key) {
  return vdb::pg::Entry("vdb.rotate_master_key", [&] { return vdb::pg::RotateMasterKey(fcinfo); });
}
