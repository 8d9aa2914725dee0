/// vdb.gc, vdb.adopt, vdb.purge: what SQL calls.
#include "pg/pg.h"

#include <set>
#include <string>

#include "pg/compat.h"
#include "pg/gc/collector.h"
#include "pg/gc/listing.h"
#include "pg/gc/owner_record.h"
#include "pg/gc/purge.h"
#include "pg/gc/store_access.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

extern "C" {
#include "access/xlog.h"
#include "foreign/foreign.h"
}

namespace vdb::pg {
namespace {

/// The prefixes that this database has had in that store: pg_upgrade makes a new incarnation.
std::set<std::string> PrefixesOf(Oid server) {
  std::set<std::string> prefixes = {ObjectPrefix(GetSystemIdentifier(), MyDatabaseId)};
  Call([&] {
    ForEachLedgerRow([&](const LedgerRow& row) {
      if (row.key.server == server && row.database == MyDatabaseId) {
        prefixes.emplace(PrefixOfName(row.name));
      }
      return true;
    });
  });
  return prefixes;
}

void CollectGarbage(bool dry_run, Report* report) {
  CollectorLock lock("vdb.gc()");
  Collector(dry_run, report).Run();
  ReportStrangers(report);
  lock.Release();
}

void Adopt(Oid server) {
  CollectorLock lock("vdb.adopt()");
  const StoreHandle handle = OpenStore(server, CollectingRole(server));
  WorkerClient worker;
  for (const std::string& prefix : PrefixesOf(server)) {
    OwnerRecord(*handle.store, server, prefix).Take(worker);
  }
  worker.Close();
  lock.Release();
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_gc) {
  InitMaterializedSRF(fcinfo, 0);
  vdb::pg::Entry("vdb.gc", [&] {
    vdb::pg::Report report(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    vdb::pg::CollectGarbage(PG_GETARG_BOOL(0), &report);
  });
  return Datum{0};
}

VDB_FUNCTION(vdb_adopt) {
  const Oid server = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
  vdb::pg::Entry("vdb.adopt", [&] { vdb::pg::Adopt(server); });
  PG_RETURN_VOID();
}

VDB_FUNCTION(vdb_adopt_database) {
  const Oid server = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
  vdb::pg::Entry("vdb.adopt", [&] { vdb::pg::AdoptDatabase(server, PG_GETARG_OID(1)); });
  PG_RETURN_VOID();
}

VDB_FUNCTION(vdb_purge) {
  InitMaterializedSRF(fcinfo, 0);
  const Oid server = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
  vdb::pg::Entry("vdb.purge", [&] {
    vdb::pg::Report report(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    vdb::pg::Purge(server, PG_GETARG_BOOL(1), &report);
  });
  return Datum{0};
}

VDB_FUNCTION(vdb_purge_database) {
  InitMaterializedSRF(fcinfo, 0);
  const Oid server = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
  vdb::pg::Entry("vdb.purge", [&] {
    vdb::pg::Report report(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    vdb::pg::PurgeDatabase(server, PG_GETARG_OID(1), &report);
  });
  return Datum{0};
}
