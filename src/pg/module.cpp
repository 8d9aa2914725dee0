/// The module's entry point: what PostgreSQL calls when it loads the library.
#include "pg/pg.h"

#include "pg/module.h"

#include "pg/am/settings.h"
#include "pg/cache/frame_cache.h"
#include "pg/catalog/keys.h"
#include "pg/catalog/store_server.h"
#include "pg/compat.h"
#include "pg/gc/collector.h"
#include "pg/gc/drop_guard.h"
#include "pg/prewarm/autoprewarm.h"
#include "pg/store/store_states.h"

extern "C" {
VDB_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

namespace vdb::pg {
namespace {
bool preloaded = false;
}
bool IsPreloaded() { return preloaded; }
}  // namespace vdb::pg

// Runs once in each process that loads the library, or once in the postmaster when it is in
// shared_preload_libraries. Types and operators need neither.
extern "C" void _PG_init() {
  vdb::pg::preloaded = process_shared_preload_libraries_in_progress;
  vdb::pg::DefineSearchSettings();
  vdb::pg::DefineIndexOptions();
  vdb::pg::DefineKeySettings();
  vdb::pg::DefineStoreSettings();
  vdb::pg::CacheInit();
  vdb::pg::StoreStatesInit();
  vdb::pg::DefineCollectorSettings();
  vdb::pg::GuardDrops();
  vdb::pg::AutoprewarmInit();
  MarkGUCPrefixReserved("vdb");
}
