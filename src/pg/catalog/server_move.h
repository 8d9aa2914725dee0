/// A server's other oid, after pg_upgrade (upgrade.h).
#pragma once

#include <cstring>
#include <span>

#include "pg/pg.h"

namespace vdb::pg {

/// What was stored under `prefix` in the server that had oid `from` then.
struct ServerMove {
  Oid from;
  char prefix[64];
  Oid to;
};

/// Where `server` is now; InvalidOid: no move is about it.
inline Oid MovedTo(std::span<const ServerMove> moves, Oid server, const char* prefix) {
  for (const ServerMove& move : moves) {
    if (move.from == server && std::strcmp(move.prefix, prefix) == 0) return move.to;
  }
  return InvalidOid;
}

}  // namespace vdb::pg
