/// BuildLedger: sees to it that each object of a build is in the ledger before it is sent.
#pragma once

#include "pg/am/meta.h"
#include "pg/catalog/store_server.h"
#include "pg/worker/worker_client.h"

namespace vdb::pg {

class BuildLedger {
 public:
  /// Starts a worker, and makes this database known in the store (OwnerRecord). The server stays
  /// locked against DROP SERVER until the end of the transaction. Throws: 55000 when vdb_ext is not
  /// preloaded, or the server is not yet what others see; as WorkerClient.
  /// meta outlives it, and its transaction has an id (BuilderId).
  BuildLedger(Relation index, const MetaPage& meta, store::ObjectStore& store);

  /// Returns when the object's row has been committed.
  void Add(const store::ObjectRef& object);

  /// Lets the worker go.
  void Close();

 private:
  const MetaPage& meta_;
  Oid owner_;
  WorkerClient worker_;
};

/// What the ledger calls the builder of an index: the id of this (sub)transaction, which gets one
/// now if it has none. A build calls it before parallel mode, in which none can be had. A
/// concurrent build's transaction gets it as well, a little earlier than by marking the index ready
/// at its end; nobody waits for it longer, nor does vacuum, which its snapshot holds up anyway.
FullTransactionId BuilderId();

}  // namespace vdb::pg
