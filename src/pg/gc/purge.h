/// vdb.purge(): the end of a database's, or a store's, objects.
#pragma once

#include "pg/gc/report.h"

namespace vdb::pg {

/// Removes all objects of this database from a store, whatever vdb.gc_retention says: those of the
/// ledger, and where the store can list, also such as are not in it. forget: only the ledger's rows
/// go, for a store that is gone or does not remove anything. Throws: 42501 unless superuser; 2BP01
/// while an index lives there; 55006 while one is being built there; and as CollectorLock.
void Purge(Oid server, bool forget, Report* report);

/// Removes the objects of a database of this cluster that does not exist any more from a store that
/// can list. Throws: 42501; 55006: it does exist; 0A000: the store cannot list.
void PurgeDatabase(Oid server, Oid database, Report* report);

}  // namespace vdb::pg
