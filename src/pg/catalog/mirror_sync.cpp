#include "pg/pg.h"

#include "pg/catalog/mirror_sync.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "pg/am/directory.h"
#include "pg/am/index_manifest.h"
#include "pg/am/index_server.h"
#include "pg/am/inspect.h"
#include "pg/am/meta.h"
#include "pg/catalog/index_list.h"
#include "pg/catalog/ledger.h"
#include "pg/catalog/mirror.h"
#include "pg/guard.h"

extern "C" {
#include "storage/lmgr.h"
#include "utils/timestamp.h"
}

namespace vdb::pg {
namespace {

enum class Opened : uint8_t { kYes, kBusy, kGone };

/// Opens and share-locks it without waiting: somebody may be rebuilding it for hours.
Opened Open(Oid index, Relation* relation) {
  if (!ConditionalLockRelationOid(index, AccessShareLock)) return Opened::kBusy;
  *relation = try_relation_open(index, NoLock);
  if (*relation != nullptr) return Opened::kYes;
  UnlockRelationOid(index, AccessShareLock);
  return Opened::kGone;
}

TimestampTz CreationOf(Oid index, const MetaPage& meta) {
  LedgerKey key = {};
  std::memcpy(key.id, meta.manifest.id, sizeof(key.id));
  key.server = ServerOf(index, meta);
  const TimestampTz stored = StoredAt(key);
  return stored != 0 ? stored : GetCurrentTimestamp();
}

/// Makes the rows of an open index what its pages say. False: they were.
bool Write(Relation index) {
  const Oid oid = RelationGetRelid(index);
  const char* const mirrored = Call([&] { return MirroredManifest(oid); });
  const MetaPage meta = Call([&] { return HasMeta(index) ? ReadMeta(index) : MetaPage{}; });
  if (meta.manifest.bytes == 0) {
    if (mirrored == nullptr) return false;
    Call([&] { ForgetInMirror(oid); });
    return true;
  }
  const std::string cid = PlainCid(meta.manifest.id, meta.manifest.bytes);
  if (mirrored != nullptr && cid == mirrored) return false;
  const format::Manifest manifest = IndexManifest(meta, ReadSegments(index, meta));
  Call([&] {
    ForgetInMirror(oid);
    AddToMirror(oid, manifest, cid, CreationOf(oid, meta));
  });
  return true;
}

/// False: another session has locked it. *complete becomes false where REINDEX CONCURRENTLY has.
bool SyncIndex(Oid index, bool* complete) {
  Relation relation = nullptr;
  const Opened opened = Call([&] { return Open(index, &relation); });
  if (opened != Opened::kYes) return opened == Opened::kGone;
  const bool written = Write(relation);
  const Mended mended = Call([&] { return MendDependency(relation); });
  const bool changed = written || mended == Mended::kYes;
  // Until the change is committed: a DROP must see the rows that it has to remove.
  Call([&] { relation_close(relation, changed ? NoLock : AccessShareLock); });
  if (mended == Mended::kBusy) *complete = false;
  return true;
}

/// A damaged index keeps its rows, and others are brought up to date all the same.
bool TrySyncIndex(Oid index, bool* complete) {
  bool free = true;
  ErrorData* const error = Attempt("vdb mirror", [&] { free = SyncIndex(index, complete); });
  if (error == nullptr) return free;
  Call([&] {
    if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
        ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION)) {
      ReThrowError(error);
    }
    ereport(LOG, (errmsg("index %u could not be mirrored in \"vdb.manifest\": %s", index,
                         error->message)));
  });
  return true;
}

bool Contains(std::span<const Oid> indexes, Oid index) {
  return std::find(indexes.begin(), indexes.end(), index) != indexes.end();
}

}  // namespace

bool SyncMirror(std::span<const Oid> awaited, std::span<const Oid> dropped) {
  List* indexes = NIL;
  const bool present = Call([&] {
    if (!HasMirror()) return false;
    LockMirror();
    indexes = PermanentIndexes();
    // The list of rows may be older than that of indexes, but nobody else adds to it.
    List* const mirrored = MirroredIndexes();
    for (int i = 0; i < list_length(mirrored); ++i) {
      const Oid index = list_nth_oid(mirrored, i);
      if (!list_member_oid(indexes, index)) ForgetInMirror(index);
    }
    return true;
  });
  if (!present) return true;
  bool complete = true;
  // Another index may have got its pages, and be locked as long as the dropped one.
  const bool handed_on = std::any_of(awaited.begin(), awaited.end(),
                                     [&](Oid index) { return !list_member_oid(indexes, index); });
  for (int i = 0; i < list_length(indexes); ++i) {
    Call([] { CHECK_FOR_INTERRUPTS(); });
    const Oid index = list_nth_oid(indexes, i);
    if (Contains(dropped, index)) continue;
    if (!TrySyncIndex(index, &complete) && (handed_on || Contains(awaited, index))) {
      complete = false;
    }
  }
  return complete;
}

}  // namespace vdb::pg
