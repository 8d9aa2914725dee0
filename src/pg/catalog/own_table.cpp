#include "pg/pg.h"

#include "pg/catalog/own_table.h"

#include <cstring>

extern "C" {
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
}

namespace vdb::pg {
namespace {

/// The columns are as they were made, with none added or dropped.
bool HasColumns(TupleDesc descriptor, std::span<const Oid> columns) {
  if (descriptor->natts < 0 || static_cast<size_t>(descriptor->natts) != columns.size()) {
    return false;
  }
  for (int i = 0; i < descriptor->natts; i++) {
    const auto* const attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped || attribute->atttypid != columns[static_cast<size_t>(i)]) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool IsOwn(Oid catalog, Oid object) {
  const Oid extension = get_extension_oid("vdb_ext", true);
  return OidIsValid(extension) && getExtensionOfObject(catalog, object) == extension;
}

Oid OwnRelationIfAny(const char* name) {
  const Oid schema = get_namespace_oid("vdb", true);
  if (!OidIsValid(schema)) return InvalidOid;
  const Oid relation = get_relname_relid(name, schema);
  const bool own = OidIsValid(relation) && get_rel_relkind(relation) == RELKIND_RELATION &&
                   IsOwn(RelationRelationId, relation);
  return own ? relation : InvalidOid;
}

Oid OwnRelation(const char* name) {
  const Oid relation = OwnRelationIfAny(name);
  if (!OidIsValid(relation)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("\"vdb.%s\" does not exist", name),
                    errhint("CREATE EXTENSION vdb_ext makes it, and must have been committed.")));
  }
  return relation;
}

Relation OpenOwnTable(const OwnTable& table, LOCKMODE lock) {
  Relation relation = table_open(OwnRelation(table.name), lock);
  if (!HasColumns(RelationGetDescr(relation), table.columns)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("table \"vdb.%s\" does not have the columns that CREATE EXTENSION "
                           "vdb_ext gave it",
                           table.name)));
  }
  return relation;
}

Oid PrimaryKeyOf(Relation table) {
  list_free(RelationGetIndexList(table));
  if (!OidIsValid(table->rd_pkindex)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("table \"vdb.%s\" has no primary key", RelationGetRelationName(table))));
  }
  return table->rd_pkindex;
}

Datum ByteaDatum(const uint8_t* bytes, size_t size) {
  auto* const value = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(value, VARHDRSZ + size);
  std::memcpy(VARDATA(value), bytes, size);
  return PointerGetDatum(value);
}

}  // namespace vdb::pg
