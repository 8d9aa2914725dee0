/// avg() over vectors. The state is a float8 array: the number of rows, then the sum of each
/// element; {0} before the first row. sum() is vector_add over and over.
#include "pg/pg.h"

#include <cmath>
#include <cstring>

#include "pg/type/function.h"

namespace vdb::pg {
namespace {

struct State {
  ArrayType* array;
  float8* values;  // count, then dim sums
  int dim;         // 0 before the first row
};

// The functions are callable from SQL, so the array can be anything.
State GetState(FunctionCallInfo fcinfo, int argument, const char* type, const char* function) {
  ArrayType* const array = PG_GETARG_ARRAYTYPE_P(argument);
  if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] < 1 || ARR_HASNULL(array) ||
      ARR_ELEMTYPE(array) != FLOAT8OID) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("%s_%s: expected state array", type, function)));
  }
  return {array, reinterpret_cast<float8*>(ARR_DATA_PTR(array)), ARR_DIMS(array)[0] - 1};
}

State NewState(int dim) {
  const Size bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * (static_cast<Size>(dim) + 1);
  auto* const array = static_cast<ArrayType*>(palloc0(bytes));
  SET_VARSIZE(array, bytes);
  array->ndim = 1;
  array->dataoffset = 0;
  array->elemtype = FLOAT8OID;
  ARR_DIMS(array)[0] = dim + 1;
  ARR_LBOUND(array)[0] = 1;
  return {array, reinterpret_cast<float8*>(ARR_DATA_PTR(array)), dim};
}

void CheckSums(const State& state) {
  for (int i = 0; i <= state.dim; ++i) {
    if (unlikely(std::isinf(state.values[i]))) float_overflow_error();
  }
}

// accum(float8[], V)
template <class V>
Datum Accumulate(FunctionCallInfo fcinfo) {
  State state = GetState(fcinfo, 0, V::kTypeName, "accum");
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(1));
  if (state.dim == 0) {
    CheckDim(V::kTypeName, vector->dim);
    const float8 count = state.values[0];
    state = NewState(vector->dim);
    state.values[0] = count;
  } else {
    CheckExpectedDim(state.dim, vector->dim);
    // Inside an aggregate the state is ours to change; elsewhere it may be a row's own value.
    if (AggCheckCallContext(fcinfo, nullptr) == 0) {
      const State copy = NewState(state.dim);
      std::memcpy(copy.values, state.values, sizeof(float8) * (static_cast<size_t>(state.dim) + 1));
      state = copy;
    }
  }
  state.values[0] += 1;
  for (int i = 0; i < state.dim; ++i) state.values[i + 1] += ToFloat(vector->x[i]);
  CheckSums(state);
  PG_RETURN_ARRAYTYPE_P(state.array);
}

// avg(float8[]): null when there was no row.
template <class V>
Datum Average(FunctionCallInfo fcinfo) {
  const State state = GetState(fcinfo, 0, V::kTypeName, "avg");
  const float8 count = state.values[0];
  if (count == 0) PG_RETURN_NULL();
  CheckDim(V::kTypeName, state.dim);
  V* const result = NewVector<V>(state.dim);
  for (int i = 0; i < state.dim; ++i) {
    Store(static_cast<float>(state.values[i + 1] / count), &result->x[i]);
    CheckElement(V::kTypeName, ToFloat(result->x[i]));
  }
  PG_RETURN_POINTER(result);
}

}  // namespace

VDB_BOTH_TYPES(accum, Accumulate)
VDB_BOTH_TYPES(avg, Average)

// combine(float8[], float8[]): the states of two parallel workers.
VDB_FUNCTION(vdb_vector_combine) {
  const State a = GetState(fcinfo, 0, "vector", "combine");
  const State b = GetState(fcinfo, 1, "vector", "combine");
  if (a.values[0] == 0) PG_RETURN_ARRAYTYPE_P(b.array);
  if (b.values[0] == 0) PG_RETURN_ARRAYTYPE_P(a.array);
  CheckExpectedDim(a.dim, b.dim);
  const State result = NewState(a.dim);
  for (int i = 0; i <= a.dim; ++i) result.values[i] = a.values[i] + b.values[i];
  CheckSums(result);
  PG_RETURN_ARRAYTYPE_P(result.array);
}

}  // namespace vdb::pg
