#include "pg/catalog/database.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_database.h"
#include "utils/snapmgr.h"
}

namespace vdb::pg {

bool DatabaseExists(Oid database) {
  InvalidateCatalogSnapshot();
  bool found = false;
  Relation table = table_open(DatabaseRelationId, AccessShareLock);
  // Without its index, which cannot be opened where there are no catalog caches.
  SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
  while (HeapTuple tuple = systable_getnext(scan)) {
    found = found || reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->oid == database;
  }
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return found;
}

}  // namespace vdb::pg
