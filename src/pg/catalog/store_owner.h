/// vdb.store_owner: what this database last wrote into its owner records. A database has one record
/// in each store, named by the prefix of its objects. It holds a random token, which each
/// collection replaces: a cluster that finds another token there than it has written is not the
/// only one that collects there. All of it ereports.
#pragma once

#include <cstdint>
#include <span>

#include "pg/catalog/server_move.h"
#include "pg/pg.h"

namespace vdb::pg {

inline constexpr size_t kOwnerTokenBytes = 16;
inline constexpr size_t kOwnerSeedBytes = 32;

struct OwnerRow {
  Oid server;
  char prefix[64];  // `<incarnation>/<database>/`
  /// Secret: of the key pair with which an S5 node lets the record be written. Stays as it was
  /// first written.
  uint8_t seed[kOwnerSeedBytes];
  bool has_token, has_pending;
  uint8_t token[kOwnerTokenBytes];    // what the record is known to have held
  uint8_t pending[kOwnerTokenBytes];  // what it may hold since: committed before it is written
  // pg_upgrade gives servers other oids (upgrade.h).
  char name[NAMEDATALEN];  // of the server
  uint64_t cluster;        // in which `server` is its oid: the system identifier
  Oid built_as;            // its oid in the cluster of the prefix, as metapages have it
};

/// The row of `server` and `prefix`. False: there is none.
bool ReadOwner(Oid server, const char* prefix, OwnerRow* row);
/// All rows, without their secrets, in the current memory context.
std::span<OwnerRow> ReadOwners();
/// Adds `row` unless there is one for its server and prefix, which it becomes. The server's name is
/// kept up to date.
void EnsureOwner(OwnerRow* row);
/// Makes it `row`, whatever it was, but for the seed and what is said of the server.
void WriteOwner(const OwnerRow& row);
/// If `row.pending` still is what is pending, it is the token now.
void ConfirmOwner(const OwnerRow& row);
/// Rows of those servers name them by the oids that the moves say, known ones as of this cluster.
void MoveOwners(std::span<const ServerMove> moves);
/// Rows of a server say its new name. False: it has none.
bool RenameOwners(Oid server, const char* name);
/// Whether rows of that server say that it has, or had when one was last written, that name.
bool OwnersSay(Oid server, const char* name);
/// All rows of a server go.
void ForgetOwners(Oid server);

}  // namespace vdb::pg
