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
  bool known;  // `to` is that server; else it is gone, and `to` is no server's oid
};

/// The one that is about `server`; null: none is.
inline const ServerMove* MoveOf(std::span<const ServerMove> moves, Oid server, const char* prefix) {
  for (const ServerMove& move : moves) {
    if (move.from == server && std::strcmp(move.prefix, prefix) == 0) return &move;
  }
  return nullptr;
}

}  // namespace vdb::pg
