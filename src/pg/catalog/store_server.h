/// Stores as PostgreSQL knows them: a server of the foreign-data wrapper vdb_store, and the user
/// mapping of the role for which it is used.
#pragma once

#include <memory>

#include "pg/pg.h"
#include "store/object_store.h"

namespace vdb::pg {

/// Milliseconds that one operation on a store may take: vdb.request_timeout.
int RequestTimeoutMs();

/// Defines vdb.request_timeout and vdb.allow_http. For _PG_init.
void DefineStoreSettings();

/// Whether it is a server of the wrapper, of any kind of store. ereports.
bool IsStoreServer(Oid server);

/// Whether a role must have USAGE on a server.
enum class Usage : uint8_t { kRequired, kGiven };

/// ereports unless the server is a store and `role` has USAGE on it.
void RequireUsableStore(Oid server, Oid role, Usage usage);

/// A store that is open, and what its server's options say of its use.
struct StoreHandle {
  std::shared_ptr<store::ObjectStore> store;
  uint64_t max_range_bytes = 0;  // of one ranged read
  size_t max_connections = 0;
};

/// The store behind a server as `role` may use it: with USAGE, the role's mapping, and for a
/// directory the server owner's right to files of the machine; all looked at anew each time. Kept,
/// with its connections, until server or mapping change. Throws.
StoreHandle OpenStore(Oid server, Oid role, Usage usage = Usage::kRequired);

}  // namespace vdb::pg
