/// What all sessions know of each store together (store/store_stats.h): in shared memory when the
/// library was preloaded, else each session knows its own.
#pragma once

#include <functional>

#include "pg/pg.h"
#include "store/store_stats.h"

namespace vdb::pg {

/// Asks for shared memory when the library is being preloaded. For _PG_init.
void StoreStatesInit();

/// The state of a server of the current database: for the life of the process. May throw
/// ErrorPending.
store::StoreState* StateOfStore(Oid server);

/// Calls `visit` for each server of the current database that this server, or without preload this
/// session, has used. A server that was dropped is still among them.
void ForEachStore(const std::function<void(Oid server, const store::StoreState& state)>& visit);

}  // namespace vdb::pg
