/// The indexes of this access method.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// Oids of this database's, in no order, as of now, whatever the transaction's snapshot. In the
/// current memory context. ereports.
List* VdbIndexes();
/// The permanent ones: all others are local.
List* PermanentIndexes();

/// All, and partitioned ones, which are nothing but their options.
List* IndexesWithOptions();

/// Whether that is a permanent index of this access method. ereports.
bool IsPermanentIndex(Oid relation);

}  // namespace vdb::pg
