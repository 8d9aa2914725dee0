#include "pg/pg.h"

#include "pg/gc/index_uses.h"

#include <algorithm>
#include <utility>

#include "base/strcat.h"
#include "pg/am/index_server.h"
#include "pg/am/meta.h"
#include "pg/catalog/index_list.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_server.h"
#include "utils/fmgroids.h"
}

namespace vdb::pg {
namespace {

struct Look {
  enum State { kUses, kUsesNothing, kBusy, kGone } state;
  MetaPage meta;
};

Look LookAt(Oid index) {
  Look look = {Look::kUsesNothing, {}};
  // Never waits: somebody may be rebuilding the index for hours.
  if (!ConditionalLockRelationOid(index, AccessShareLock)) return {Look::kBusy, {}};
  Relation relation = try_relation_open(index, NoLock);
  if (relation == nullptr) {
    UnlockRelationOid(index, AccessShareLock);
    return {Look::kGone, {}};
  }
  if (HasMeta(relation)) {
    look.meta = ReadMeta(relation);
    if (!IsLocal(look.meta)) look.state = Look::kUses;
  }
  relation_close(relation, AccessShareLock);
  return look;
}

std::string NameOf(Oid index) {
  const char* const name = Call([&] { return get_rel_name(index); });
  return name == nullptr ? StrCat(index) : std::string(name);
}

/// Adds what `index` uses. False: the index has gone.
bool AddUses(Oid index, IndexUses* uses) {
  Look look = {};
  const ErrorData* const error =
      Attempt("vdb.gc", [&] { look = Call([&] { return LookAt(index); }); });
  if (error != nullptr) {
    if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
        ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION)) {
      Call([&] { ReThrowError(const_cast<ErrorData*>(error)); });
    }
    uses->unknown[Call([&] { return DependencyOf(index); })] =
        StrCat("index \"", NameOf(index), "\" cannot be read: ", error->message);
    return true;
  }
  switch (look.state) {
    case Look::kGone:
      return false;
    case Look::kUsesNothing:
      return true;
    case Look::kBusy:
      // pg_depend says where it is, but not for certain: until it is mended (MendDependency), it is
      // wrong after a REINDEX CONCURRENTLY to another store.
      uses->unknown[InvalidOid] =
          StrCat("another session has locked index \"", NameOf(index), "\", which may use it");
      return true;
    case Look::kUses:
      break;
  }
  IndexUuid uuid;
  std::copy_n(look.meta.uuid, uuid.size(), uuid.begin());
  uses->used[uuid] = NameOf(index);
  return true;
}

}  // namespace

IndexUses FindIndexUses() {
  for (;;) {
    IndexUses uses;
    List* const indexes = Call([] { return PermanentIndexes(); });
    bool complete = true;
    for (int i = 0; i < list_length(indexes); ++i) {
      Call([] { CHECK_FOR_INTERRUPTS(); });
      // The pages of an index that has gone may be another one's now, which is not in this list:
      // ALTER TABLE hands them on where it can.
      complete = AddUses(list_nth_oid(indexes, i), &uses) && complete;
    }
    if (complete) return uses;
  }
}

std::string IndexThatDependsOn(Oid server) {
  const char* const name = Call([&] {
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(ForeignServerRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(server));
    const char* found = nullptr;
    InvalidateCatalogSnapshot();
    Relation depend = table_open(DependRelationId, AccessShareLock);
    SysScanDesc scan =
        systable_beginscan(depend, DependReferenceIndexId, true, nullptr, lengthof(keys), keys);
    while (HeapTuple tuple = systable_getnext(scan)) {
      const auto* form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
      if (form->classid == RelationRelationId) found = get_rel_name(form->objid);
    }
    systable_endscan(scan);
    table_close(depend, AccessShareLock);
    return found;
  });
  return name == nullptr ? std::string() : std::string(name);
}

}  // namespace vdb::pg
