/// The extension's own tables, by name.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// The oid of a table or index in schema vdb; InvalidOid when there is none.
Oid OwnRelationIfAny(const char* name);

/// The same; ereports 42P01 when there is none. Other transactions see what CREATE EXTENSION has
/// made when it has been committed, and not before.
Oid OwnRelation(const char* name);

/// A bytea with those bytes, in the current memory context. ereports.
Datum ByteaDatum(const uint8_t* bytes, size_t size);

Relation OpenOwnTable(const char* name, LOCKMODE lock);

}  // namespace vdb::pg
