/// What differs between PostgreSQL 15 and 18, so that no other file asks for the version.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "catalog/pg_class_d.h"
#include "catalog/pg_foreign_server_d.h"
#include "nodes/pathnodes.h"
#include "utils/acl.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "varatt.h"
#endif
}

#if PG_VERSION_NUM < 160000
/// Before 16 input functions have no soft errors: pg_input_is_valid came with them.
#define ereturn(context, dummy_value, ...) ereport(ERROR, __VA_ARGS__)
#endif

#if PG_VERSION_NUM >= 180000
#define VDB_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "vdb_ext", .version = "1.0")
#else
#define VDB_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/// Opens the definition of a function that SQL calls: `VDB_FUNCTION(vdb_vector_in) { ... }`. Before
/// 16 PG_FUNCTION_INFO_V1 does not export the function itself, and ours are hidden by default.
#define VDB_FUNCTION(name)                  \
  extern "C" {                              \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
  PG_FUNCTION_INFO_V1(name);                \
  }                                         \
  extern "C" Datum name([[maybe_unused]] PG_FUNCTION_ARGS)

namespace vdb::pg::compat {

#if PG_VERSION_NUM >= 160000
using RelationLocator = RelFileLocator;
inline RelationLocator LocatorOf(Relation relation) { return relation->rd_locator; }
inline bool SameLocator(const RelationLocator& a, const RelationLocator& b) {
  return RelFileLocatorEquals(a, b);
}
#else
using RelationLocator = RelFileNode;
inline RelationLocator LocatorOf(Relation relation) { return relation->rd_node; }
inline bool SameLocator(const RelationLocator& a, const RelationLocator& b) {
  return RelFileNodeEquals(a, b);
}
#endif

/// Keeps the planner from a path whatever else is disabled: from 18 on that counts before costs.
inline void Forbid([[maybe_unused]] Path* path) {
#if PG_VERSION_NUM >= 180000
  path->disabled_nodes = 2;
#endif
}

/// The id of a wait event of that name, the same in all processes; before 17 there is one for all
/// extensions. ereports.
inline uint32 NewWaitEvent([[maybe_unused]] const char* name) {
#if PG_VERSION_NUM >= 170000
  return WaitEventExtensionNew(name);
#else
  return PG_WAIT_EXTENSION;
#endif
}

inline void VacuumDelayPoint() {
#if PG_VERSION_NUM >= 180000
  vacuum_delay_point(false);
#else
  vacuum_delay_point();
#endif
}

/// Before 17 an access method need not say that it builds in parallel.
inline void AllowParallelBuild([[maybe_unused]] IndexAmRoutine* am) {
#if PG_VERSION_NUM >= 170000
  am->amcanbuildparallel = true;
#endif
}

/// A new page at the end of the fork, pinned and exclusively locked, not initialised.
inline Buffer ExtendByOne(Relation relation, ForkNumber fork, BufferAccessStrategy strategy) {
#if PG_VERSION_NUM >= 160000
  return ExtendBufferedRel(BMR_REL(relation), fork, strategy, EB_LOCK_FIRST);
#else
  const bool lock = !RELATION_IS_LOCAL(relation);
  if (lock) LockRelationForExtension(relation, ExclusiveLock);
  Buffer buffer = ReadBufferExtended(relation, fork, P_NEW, RBM_NORMAL, strategy);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  if (lock) UnlockRelationForExtension(relation, ExclusiveLock);
  return buffer;
#endif
}

inline bool OwnsRelation(Oid relation, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, relation, role);
#else
  return pg_class_ownercheck(relation, role);
#endif
}

inline AclResult CheckServerUsage(Oid server, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ForeignServerRelationId, server, role, ACL_USAGE);
#else
  return pg_foreign_server_aclcheck(server, role, ACL_USAGE);
#endif
}

inline bool MayUseServer(Oid server, Oid role) {
  return CheckServerUsage(server, role) == ACLCHECK_OK;
}

/// ereports 42501 unless `role` may use the foreign server.
inline void RequireServerUsage(Oid server, const char* name, Oid role) {
  const AclResult result = CheckServerUsage(server, role);
  if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_FOREIGN_SERVER, name);
}

/// The next value of a datum sort. False: there are no more.
inline bool NextSorted(Tuplesortstate* sort, Datum* value, bool* isnull) {
#if PG_VERSION_NUM >= 160000
  return tuplesort_getdatum(sort, true, false, value, isnull, nullptr);
#else
  return tuplesort_getdatum(sort, true, value, isnull, nullptr);
#endif
}

/// Functions of an index run with the rights of its table's owner: no schema of another role may
/// take their place.
inline void RestrictFunctionLookup() {
#if PG_VERSION_NUM >= 170000
  RestrictSearchPath();
#endif
}

}  // namespace vdb::pg::compat
