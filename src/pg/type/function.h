/// VDB_BOTH_TYPES: one template, two SQL functions.
#pragma once

#include "pg/compat.h"
#include "pg/type/vector.h"

/// Defines the C functions vdb_vector_NAME and vdb_halfvec_NAME as function<Vector>(fcinfo) and
/// function<HalfVector>(fcinfo).
///
/// None of the templates holds a C++ object with a destructor or calls anything that throws, so
/// they need no pg::Entry and may ereport anywhere.
#define VDB_BOTH_TYPES(name, function)                                          \
  VDB_FUNCTION(vdb_vector_##name) { return function<vdb::pg::Vector>(fcinfo); } \
  VDB_FUNCTION(vdb_halfvec_##name) { return function<vdb::pg::HalfVector>(fcinfo); }
