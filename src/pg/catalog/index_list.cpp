#include "pg/pg.h"

#include "pg/catalog/index_list.h"

extern "C" {
#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

bool IsOfMethod(const FormData_pg_class& form, Oid method) {
  return form.relkind == RELKIND_INDEX && form.relam == method;
}

template <class Wanted>
List* Indexes(Wanted&& wanted) {
  const Oid method = get_index_am_oid("vdb", false);
  List* indexes = NIL;
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
  const Oid method = get_index_am_oid("vdb", true);
  const auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  const bool is = OidIsValid(method) && IsOfMethod(*form, method) &&
                  form->relpersistence == RELPERSISTENCE_PERMANENT;
  ReleaseSysCache(tuple);
  return is;
}

}  // namespace vdb::pg
