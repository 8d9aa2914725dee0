/// The worker that reads a database's frames into the cache again (autoprewarm.h).
///
/// What is in the file is looked for among the objects of the database's indexes: an index that was
/// dropped or rebuilt since has other objects, and what is not found is left out. Objects of remote
/// stores are read as the index's owner may, as by a search. An index that cannot be read is left
/// out, and logged; frames that may be its own are told to the keeper, who keeps them in the list.
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

inline constexpr char kReloadFunction[] = "vdb_autoprewarm_reload";
inline constexpr char kReloadType[] = "vdb_ext autoprewarm worker";

/// Ends the worker that reads frames of that database, if there is one: DROP DATABASE waits for all
/// that are connected to it, and of those that wait for a store for longer than it has patience.
/// ereports.
void StopReload(Oid database);

}  // namespace vdb::pg
