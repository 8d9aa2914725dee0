/// The mirror's worker: a background worker that a session starts and does not wait for. It brings
/// the mirror (mirror_sync.h) up to date and ends.
///
/// What is not done because no worker could be started, or the server crashed, the next one does,
/// or vdb.gc().
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

/// Starts one when this transaction has been committed, of which nobody must learn before: that
/// index was built in it, or its pages were handed on. It fails no commit. Throws nothing, and
/// ereports at most 53200.
void MirrorAfterCommit(Oid index);

/// Starts one that removes that index's rows: a DROP INDEX CONCURRENTLY, which may not write. Then
/// it does what others do.
/// Throws and ereports nothing.
void ForgetInMirrorSoon(Oid index);

}  // namespace vdb::pg
