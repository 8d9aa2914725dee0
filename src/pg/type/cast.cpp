/// Casts: to a type modifier, between vector and halfvec, from and to arrays. All have the
/// signature (value, typmod, explicit) of PostgreSQL's cast functions.
#include "pg/pg.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "pg/type/function.h"

namespace vdb::pg {
namespace {

template <class V>
Datum EnforceTypmod(FunctionCallInfo fcinfo) {
  V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  CheckExpectedDim(PG_GETARG_INT32(1), vector->dim);
  PG_RETURN_POINTER(vector);
}

void Assign(const char*, float value, float* out) { *out = value; }

// A float beyond the range of binary16 is an error, unlike one that is infinite already, which
// CheckElement names.
void Assign(const char* type, float value, Half* out) {
  *out = FloatToHalf(value);
  if (unlikely(std::isinf(HalfToFloat(*out)) && !std::isinf(value))) {
    char text[FLOAT_SHORTEST_DECIMAL_LEN];
    float_to_shortest_decimal_buf(value, text);
    ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                    errmsg("\"%s\" is out of range for type %s", text, type)));
  }
}

template <class From, class To>
Datum Convert(FunctionCallInfo fcinfo) {
  const From* const from = DatumGetVector<From>(PG_GETARG_DATUM(0));
  CheckExpectedDim(PG_GETARG_INT32(1), from->dim);
  To* const result = NewVector<To>(from->dim);
  for (int i = 0; i < from->dim; ++i) {
    Assign(To::kTypeName, ToFloat(from->x[i]), &result->x[i]);
  }
  PG_RETURN_POINTER(result);
}

// Elements of fixed width lie in an array one after the other when none is null.
template <class Number, class V>
void AssignAll(const ArrayType* array, V* result) {
  const auto* const values = reinterpret_cast<const Number*>(ARR_DATA_PTR(array));
  for (int i = 0; i < result->dim; ++i) {
    Assign(V::kTypeName, static_cast<float>(values[i]), &result->x[i]);
  }
}

template <class V>
void AssignAllNumeric(ArrayType* array, V* result) {
  Datum* values;
  int count;
  deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &values, nullptr, &count);
  for (int i = 0; i < count; ++i) {
    const float value = DatumGetFloat4(DirectFunctionCall1(numeric_float4, values[i]));
    Assign(V::kTypeName, value, &result->x[i]);
  }
}

template <class V>
Datum FromArray(FunctionCallInfo fcinfo) {
  ArrayType* const array = PG_GETARG_ARRAYTYPE_P(0);
  if (ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
  }
  if (array_contains_nulls(array)) {
    ereport(ERROR,
            (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
  }
  const int dim = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
  CheckDim(V::kTypeName, dim);
  CheckExpectedDim(PG_GETARG_INT32(1), dim);

  V* const result = NewVector<V>(dim);
  switch (ARR_ELEMTYPE(array)) {
    case INT4OID:
      AssignAll<int32>(array, result);
      break;
    case FLOAT4OID:
      AssignAll<float4>(array, result);
      break;
    case FLOAT8OID:
      AssignAll<float8>(array, result);
      break;
    case NUMERICOID:
      AssignAllNumeric(array, result);
      break;
    default:
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("unsupported array type")));
  }
  for (int i = 0; i < dim; ++i) CheckElement(V::kTypeName, ToFloat(result->x[i]));
  PG_RETURN_POINTER(result);
}

template <class V>
Datum ToFloat4Array(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const Size bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * static_cast<Size>(vector->dim);
  auto* const array = static_cast<ArrayType*>(palloc0(bytes));
  SET_VARSIZE(array, bytes);
  array->ndim = 1;
  array->dataoffset = 0;
  array->elemtype = FLOAT4OID;
  ARR_DIMS(array)[0] = vector->dim;
  ARR_LBOUND(array)[0] = 1;
  auto* const values = reinterpret_cast<float4*>(ARR_DATA_PTR(array));
  for (int i = 0; i < vector->dim; ++i) values[i] = ToFloat(vector->x[i]);
  PG_RETURN_ARRAYTYPE_P(array);
}

}  // namespace

VDB_BOTH_TYPES(enforce_typmod, EnforceTypmod)
VDB_BOTH_TYPES(from_array, FromArray)
VDB_BOTH_TYPES(to_float4, ToFloat4Array)

VDB_FUNCTION(vdb_halfvec_to_vector) { return Convert<HalfVector, Vector>(fcinfo); }
VDB_FUNCTION(vdb_vector_to_halfvec) { return Convert<Vector, HalfVector>(fcinfo); }

}  // namespace vdb::pg
