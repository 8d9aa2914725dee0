/// OwnerRecord: the record in a store that says which cluster collects the objects of one prefix,
/// `<incarnation>/<database>/`. Two clusters restored from one backup have the same prefix: the
/// token in the record, replaced by each collection, tells them apart (store_owner.h). It is also
/// how a collection knows the store for the one it was: in an emptied or another one each object
/// would look as if it had been removed.
///
/// Everything may throw.
#pragma once

#include <optional>
#include <string>
#include <string>

#include "pg/catalog/store_owner.h"
#include "pg/worker/worker_client.h"
#include "store/object_store.h"

namespace vdb::pg {

/// Why this database may not collect the objects of a prefix.
struct OwnerConflict {
  /// kLost: the store has no record, although one was written. kContested: it is somebody else's.
  enum class Why { kLost, kContested } why;
  std::string store, prefix;
};

/// The ERROR: 55000.
[[noreturn]] void Raise(const OwnerConflict& conflict);

class OwnerRecord {
 public:
  /// store: of that server. Outlived by it.
  OwnerRecord(store::ObjectStore& store, Oid server, const std::string& prefix);

  /// Before the first object of a prefix is sent: the record is written if this database has not
  /// written it yet and nobody else has. A store without records only gets its row in the table.
  void Establish(WorkerClient& worker);

  /// Looks whether this database may collect. Nothing: it may.
  std::optional<OwnerConflict> Check();

  /// Check, and a new token, so that others see that this database does collect.
  std::optional<OwnerConflict> Renew(WorkerClient& worker);

  /// A new token, whatever the record says. Errors: 55000 when somebody else is at it, too.
  void Take(WorkerClient& worker);

 private:
  /// Whose the record is.
  enum class State {
    kUnwritten,  // nobody's, and no record is known to have been written
    kOurs,
    kLost,       // there is none, but there was
    kContested,  // somebody else's
  };

  /// Sees to it that the table has a row, whose `pending` is then what is first written.
  void Ensure(WorkerClient& worker);
  State Look();
  OwnerConflict Conflict(OwnerConflict::Why why) const { return {why, store_.name(), row_.prefix}; }
  /// Announces a new token and writes it. False: somebody else was first.
  bool Replace(WorkerClient& worker);

  store::ObjectStore& store_;
  OwnerRow row_ = {};
  bool known_ = false;                   // row_ is in the table
  std::optional<store::Record> record_;  // as Look found it
};

}  // namespace vdb::pg
