/// Autoprewarm: brings back after a restart what was in the cache before it.
///
/// One background worker, the keeper, connected to no database: from time to time, and at shutdown,
/// it writes down which frames are in the cache (hot_file.h). When the server has started it has
/// one worker at a time, connected to a database, read those of that database again
/// (reload.h), and only then begins to write; what could not be read then, as a store was away, it
/// writes down again. It holds nobody up: not the start, which does not
/// wait for it, nor the shutdown, which ends all of it at its next wait.
#pragma once

namespace vdb::pg {

/// Defines vdb.autoprewarm and vdb.autoprewarm_interval, and registers the worker when the library
/// is being preloaded and the first is on. For _PG_init.
void AutoprewarmInit();

}  // namespace vdb::pg
