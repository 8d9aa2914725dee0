/// The extension's own objects, by name. A name alone says nothing: in a database without the
/// extension whoever may create a schema can call theirs vdb, and put anything in it.
#pragma once

#include <span>

#include "pg/pg.h"

extern "C" {
#include "catalog/indexing.h"
}

namespace vdb::pg {

/// Whether that object was made by CREATE EXTENSION vdb_ext. ereports.
bool IsOwn(Oid catalog, Oid object);

/// A table as code reads and writes it.
struct OwnTable {
  const char* name;              // in schema vdb
  std::span<const Oid> columns;  // their types
};

/// The oid of an own table; InvalidOid when there is none. ereports.
Oid OwnRelationIfAny(const char* name);

/// The same; ereports 42P01 when there is none. Other transactions see what CREATE EXTENSION has
/// made when it has been committed, and not before.
Oid OwnRelation(const char* name);

/// ereports also unless its columns are those of `table`: what reads its rows takes their types for
/// granted.
Relation OpenOwnTable(const OwnTable& table, LOCKMODE lock);

/// Of an open table. ereports when it has none.
Oid PrimaryKeyOf(Relation table);

/// Puts replacement(tuple) in the place of each row of an open table; null: the row stays. All go
/// before any comes back, so that rows may exchange their keys. ereports.
template <class Replacement>
void ReplaceRows(Relation table, Replacement&& replacement) {
  List* replaced = NIL;
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    HeapTuple changed = replacement(tuple);
    if (changed == nullptr) continue;
    replaced = lappend(replaced, changed);
    CatalogTupleDelete(table, &tuple->t_self);
  }
  systable_endscan(scan);
  for (int i = 0; i < list_length(replaced); i++) {
    CatalogTupleInsert(table, static_cast<HeapTuple>(list_nth(replaced, i)));
  }
}

/// A bytea with those bytes, in the current memory context. ereports.
Datum ByteaDatum(const uint8_t* bytes, size_t size);

}  // namespace vdb::pg
