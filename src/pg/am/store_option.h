/// The option `store` of an index, where pg_class has it: by name, as dumps do. All of it ereports.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// Writes it, into an index on which the caller holds ShareUpdateExclusiveLock or more.
void WriteStoreOption(Oid index, const char* name);

/// A server gets another name: options that say `from` say `to`. Waits for the locks of such
/// indexes.
void RenameStoreOptions(const char* from, const char* to);

}  // namespace vdb::pg
