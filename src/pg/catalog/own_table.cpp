#include "pg/pg.h"

#include "pg/catalog/own_table.h"

#include <cstring>

extern "C" {
#include "access/table.h"
#include "catalog/namespace.h"
}

namespace vdb::pg {

Oid OwnRelationIfAny(const char* name) {
  const Oid schema = get_namespace_oid("vdb", true);
  return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

Oid OwnRelation(const char* name) {
  const Oid relation = OwnRelationIfAny(name);
  if (!OidIsValid(relation)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("\"vdb.%s\" does not exist", name),
                    errhint("CREATE EXTENSION vdb_ext makes it, and must have been committed.")));
  }
  return relation;
}

Datum ByteaDatum(const uint8_t* bytes, size_t size) {
  auto* const value = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(value, VARHDRSZ + size);
  std::memcpy(VARDATA(value), bytes, size);
  return PointerGetDatum(value);
}

Relation OpenOwnTable(const char* name, LOCKMODE lock) {
  return table_open(OwnRelation(name), lock);
}

}  // namespace vdb::pg
