/// The order of vectors for btree, DISTINCT and the like: element by element, then by dimension.
#include "pg/pg.h"

#include <algorithm>

#include "pg/type/function.h"

namespace vdb::pg {
namespace {

template <class V>
int Order(const V* a, const V* b) {
  const int shared = std::min(a->dim, b->dim);
  for (int i = 0; i < shared; ++i) {
    const float x = ToFloat(a->x[i]);
    const float y = ToFloat(b->x[i]);
    if (x < y) return -1;
    if (x > y) return 1;
  }
  return (a->dim > b->dim) - (a->dim < b->dim);
}

// btree wants detoasted copies freed: a sort or an index descent calls this many times in one
// memory context.
template <class V>
int OrderArguments(FunctionCallInfo fcinfo) {
  V* const a = DatumGetVector<V>(PG_GETARG_DATUM(0));
  V* const b = DatumGetVector<V>(PG_GETARG_DATUM(1));
  const int order = Order(a, b);
  PG_FREE_IF_COPY(a, 0);
  PG_FREE_IF_COPY(b, 1);
  return order;
}

template <class V>
Datum Compare(FunctionCallInfo fcinfo) {
  PG_RETURN_INT32(OrderArguments<V>(fcinfo));
}

template <class V>
Datum Less(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) < 0);
}

template <class V>
Datum LessOrEqual(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) <= 0);
}

template <class V>
Datum Equal(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) == 0);
}

template <class V>
Datum NotEqual(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) != 0);
}

template <class V>
Datum GreaterOrEqual(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) >= 0);
}

template <class V>
Datum Greater(FunctionCallInfo fcinfo) {
  PG_RETURN_BOOL(OrderArguments<V>(fcinfo) > 0);
}

}  // namespace

VDB_BOTH_TYPES(cmp, Compare)
VDB_BOTH_TYPES(lt, Less)
VDB_BOTH_TYPES(le, LessOrEqual)
VDB_BOTH_TYPES(eq, Equal)
VDB_BOTH_TYPES(ne, NotEqual)
VDB_BOTH_TYPES(ge, GreaterOrEqual)
VDB_BOTH_TYPES(gt, Greater)

}  // namespace vdb::pg
