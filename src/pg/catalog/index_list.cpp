#include "pg/pg.h"

#include "pg/catalog/index_list.h"

#include "pg/catalog/own_table.h"

extern "C" {
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

/// InvalidOid: the extension is not in this database.
Oid OwnMethod() {
  const Oid method = get_am_oid("vdb", true);
  return OidIsValid(method) && IsOwn(AccessMethodRelationId, method) ? method : InvalidOid;
}

bool IsOfMethod(const FormData_pg_class& form, Oid method) {
  return form.relkind == RELKIND_INDEX && form.relam == method;
}

template <class Wanted>
List* Indexes(Wanted&& wanted) {
  const Oid method = OwnMethod();
  List* indexes = NIL;
  if (!OidIsValid(method)) return indexes;
  // A builder is seen to have ended a moment before its invalidations come in: what snapshot there
  // is may be older than that.
  InvalidateCatalogSnapshot();
  Relation classes = table_open(RelationRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (wanted(*form, method)) indexes = lappend_oid(indexes, form->oid);
  }
  systable_endscan(scan);
  table_close(classes, AccessShareLock);
  return indexes;
}

}  // namespace

List* VdbIndexes() { return Indexes(IsOfMethod); }

List* PermanentIndexes() {
  return Indexes([](const FormData_pg_class& form, Oid method) {
    return IsOfMethod(form, method) && form.relpersistence == RELPERSISTENCE_PERMANENT;
  });
}

List* IndexesWithOptions() {
  return Indexes([](const FormData_pg_class& form, Oid method) {
    return form.relam == method &&
           (form.relkind == RELKIND_INDEX || form.relkind == RELKIND_PARTITIONED_INDEX);
  });
}

bool IsPermanentIndex(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) return false;
  const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  bool is = form->relkind == RELKIND_INDEX && form->relpersistence == RELPERSISTENCE_PERMANENT;
  if (is) {
    const Oid method = OwnMethod();
    is = OidIsValid(method) && IsOfMethod(*form, method);
  }
  ReleaseSysCache(tuple);
  return is;
}

}  // namespace vdb::pg
