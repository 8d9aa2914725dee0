/// The worker that reads a database's frames into the cache again (autoprewarm.h).
///
/// What is in the file is looked for among the objects of the database's indexes: an index that was
/// dropped or rebuilt since has other objects, and what is not found is left out. Objects of remote
/// stores are read as the index's owner may, as by a search. An index that cannot be read is left
/// out, and logged.
#pragma once

namespace vdb::pg {

inline constexpr char kReloadFunction[] = "vdb_autoprewarm_reload";

}  // namespace vdb::pg
