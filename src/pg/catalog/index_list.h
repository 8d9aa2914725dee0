/// The indexes of this access method.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// Oids of this database's permanent ones, as of now, whatever the transaction's snapshot; others
/// are local. In the current memory context. ereports.
List* PermanentIndexes();

/// Whether that is a permanent index of this access method. ereports.
bool IsPermanentIndex(Oid relation);

}  // namespace vdb::pg
