/// The extension's own objects, by name. A name alone says nothing: in a database without the
/// extension whoever may create a schema can call theirs vdb, and put anything in it.
#pragma once

#include <span>

#include "pg/pg.h"

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

/// A bytea with those bytes, in the current memory context. ereports.
Datum ByteaDatum(const uint8_t* bytes, size_t size);

}  // namespace vdb::pg
