/// The module's entry point: what PostgreSQL calls when it loads the library.
#include "pg/pg.h"

#include "pg/am/settings.h"
#include "pg/cache/frame_cache.h"
#include "pg/catalog/keys.h"
#include "pg/catalog/store_server.h"
#include "pg/compat.h"
#include "pg/store/store_states.h"

extern "C" {
VDB_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

// Runs once in each process that loads the library, or once in the postmaster when it is in
// shared_preload_libraries. Types and operators need neither.
extern "C" void _PG_init() {
  vdb::pg::DefineSearchSettings();
  vdb::pg::DefineIndexOptions();
  vdb::pg::DefineKeySettings();
  vdb::pg::DefineStoreSettings();
  vdb::pg::CacheInit();
  vdb::pg::StoreStatesInit();
  MarkGUCPrefixReserved("vdb");
}
