/// vdb.purge(): the end of a database's, or a store's, objects.
#pragma once

#include "pg/gc/report.h"

namespace vdb::pg {

/// Removes all objects of this database from a store, whatever vdb.gc_retention says: those of the
/// ledger, and where the store can list, also such as are not in it. forget: only the ledger's rows
/// go, for a store that is gone or does not remove anything. Throws: 42501 unless superuser; 2BP01
/// while an index lives there; 55006 while one is being built there; 55000 as OwnerRecord; and as
/// CollectorLock.
void Purge(Oid server, bool forget, Report* report);

/// Removes the objects of a database of this cluster that does not exist any more from a store that
/// can list. Throws: 42501; 55006: it does exist; 0A000: the store cannot list; 55000: another
/// database of that oid may collect there, unless it was adopted.
void PurgeDatabase(Oid server, Oid database, Report* report);

/// Makes this database the one that may purge such a database. Throws: 55006, 0A000.
void AdoptDatabase(Oid server, Oid database);

}  // namespace vdb::pg
