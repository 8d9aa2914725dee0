/// How a collection comes to the store of a server: as the role that its objects were stored for.
#pragma once

#include <string>

#include "pg/catalog/store_server.h"

namespace vdb::pg {

/// The name of a server; empty: it does not exist.
std::string ServerName(Oid server);

/// Opens it as `owner`, or, where that role is gone or may not use the server any more, as the
/// server's owner. Empty: done. Else why it could not be. Throws what is not about the store: a
/// cancel, no memory.
std::string TryOpenStore(Oid server, Oid owner, StoreHandle* handle);

/// As whom to open a store that is collected as a whole: an owner of objects there; where none may
/// use the server any more, its owner; where there are no objects, the current user. Throws.
Oid CollectingRole(Oid server);

/// What a Status says, for a reason: message and detail. Throws it when it is not about the store.
std::string ReasonOf(const Status& status);

}  // namespace vdb::pg
