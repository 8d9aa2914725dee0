/// vdb.master_key: the master keys that were generated because no setting names any. A row follows
/// base backup, standbys and pg_upgrade like any other. Read and written without SQL: an index is
/// built as the table's owner in a security-restricted operation, and only superusers may see keys.
#pragma once

#include "crypto/key_ring.h"

namespace vdb::pg {

/// Appends the rows, newest first, to the ring, but for ids that it has already.
/// Throws: XX002 when a row holds no key.
void AddGeneratedKeys(crypto::KeyRing* ring);

/// Generates a key and stores it. The row is frozen: other transactions see it at once, and it
/// stays when this one aborts, for metapages may already refer to it. A NOTICE says so. Throws:
/// 25006 during recovery, 55000 in parallel mode without a transaction id.
void GenerateMasterKey();

}  // namespace vdb::pg
