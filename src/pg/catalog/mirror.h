/// The mirror, vdb.manifest and vdb.chunk: for people, what the manifest of each index in a remote
/// store says. The pages are the truth, and no code takes anything from here but what to mend.
///
/// Rows are written by workers (mirror_sync.h), and removed by a DROP in its own transaction. Read
/// and written without SQL, so that no setting or function of a user's has a part in it. All of it
/// ereports.
#pragma once

#include <string>

#include "format/manifest.h"
#include "pg/pg.h"

namespace vdb::pg {

/// Both tables are there.
bool HasMirror();

/// One session at a time may bring the mirror up to date: waits for it. DROP does not.
void LockMirror();

/// CID of the manifest that is mirrored for that index, in the current memory context; null: none.
const char* MirroredManifest(Oid index);

/// The indexes that have rows, in the current memory context.
List* MirroredIndexes();

void AddToMirror(Oid index, const format::Manifest& manifest, const std::string& cid,
                 TimestampTz created);

/// All rows of that index go, if there are any.
void ForgetInMirror(Oid index);

}  // namespace vdb::pg
