/// Arithmetic on vectors and the functions that look at one of them.
#include "pg/pg.h"

#include <cmath>
#include <cstring>

#include "pg/type/function.h"

namespace vdb::pg {
namespace {

// Element by element. `combine` returns the value of one element, not yet rounded to the type.
template <class V, class Combine>
V* Zip(FunctionCallInfo fcinfo, Combine combine) {
  const V* const a = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const V* const b = DatumGetVector<V>(PG_GETARG_DATUM(1));
  CheckSameDim(V::kTypeName, a->dim, b->dim);
  V* const result = NewVector<V>(a->dim);
  for (int i = 0; i < a->dim; ++i) {
    Store(combine(ToFloat(a->x[i]), ToFloat(b->x[i])), &result->x[i]);
  }
  // A pass of its own lets the loop above use vector instructions.
  for (int i = 0; i < a->dim; ++i) {
    if (unlikely(std::isinf(ToFloat(result->x[i])))) float_overflow_error();
  }
  return result;
}

template <class V>
Datum Add(FunctionCallInfo fcinfo) {
  PG_RETURN_POINTER(Zip<V>(fcinfo, [](float a, float b) { return a + b; }));
}

template <class V>
Datum Subtract(FunctionCallInfo fcinfo) {
  PG_RETURN_POINTER(Zip<V>(fcinfo, [](float a, float b) { return a - b; }));
}

template <class V>
Datum Multiply(FunctionCallInfo fcinfo) {
  V* const result = Zip<V>(fcinfo, [](float a, float b) { return a * b; });
  const V* const a = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const V* const b = DatumGetVector<V>(PG_GETARG_DATUM(1));
  for (int i = 0; i < result->dim; ++i) {
    if (unlikely(ToFloat(result->x[i]) == 0 && ToFloat(a->x[i]) != 0 && ToFloat(b->x[i]) != 0)) {
      float_underflow_error();
    }
  }
  PG_RETURN_POINTER(result);
}

template <class V>
Datum Concatenate(FunctionCallInfo fcinfo) {
  const V* const a = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const V* const b = DatumGetVector<V>(PG_GETARG_DATUM(1));
  const int dim = a->dim + b->dim;
  CheckDim(V::kTypeName, dim);
  V* const result = NewVector<V>(dim);
  std::memcpy(result->x, a->x, VectorBytes<V>(a->dim) - VectorBytes<V>(0));
  std::memcpy(result->x + a->dim, b->x, VectorBytes<V>(b->dim) - VectorBytes<V>(0));
  PG_RETURN_POINTER(result);
}

template <class V>
Datum Dims(FunctionCallInfo fcinfo) {
  PG_RETURN_INT32(DatumGetVector<V>(PG_GETARG_DATUM(0))->dim);
}

// In double: the squares of floats near the end of their range do not overflow.
template <class V>
double NormOf(const V* vector) {
  double sum = 0;
  for (int i = 0; i < vector->dim; ++i) {
    const double x = ToFloat(vector->x[i]);
    sum += x * x;
  }
  return std::sqrt(sum);
}

template <class V>
Datum Norm(FunctionCallInfo fcinfo) {
  PG_RETURN_FLOAT8(NormOf(DatumGetVector<V>(PG_GETARG_DATUM(0))));
}

// A zero vector stays zero.
template <class V>
Datum Normalize(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  V* const result = NewVector<V>(vector->dim);
  const double norm = NormOf(vector);
  for (int i = 0; i < vector->dim; ++i) {
    const double x = norm > 0 ? ToFloat(vector->x[i]) / norm : 0.0;
    Store(static_cast<float>(x), &result->x[i]);
  }
  PG_RETURN_POINTER(result);
}

// bit n is 1 when element n is above zero.
template <class V>
Datum BinaryQuantize(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const int bytes = VARBITTOTALLEN(vector->dim);
  auto* const result = static_cast<VarBit*>(palloc0(static_cast<Size>(bytes)));
  SET_VARSIZE(result, bytes);
  VARBITLEN(result) = vector->dim;
  bits8* const bits = VARBITS(result);
  for (int i = 0; i < vector->dim; ++i) {
    if (ToFloat(vector->x[i]) > 0) bits[i / 8] |= static_cast<bits8>(0x80 >> (i % 8));
  }
  PG_RETURN_VARBIT_P(result);
}

// subvector(V, start, count): 1-based, and clipped at both ends like substring().
template <class V>
Datum Subvector(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const int64 start = PG_GETARG_INT32(1);
  const int64 count = PG_GETARG_INT32(2);
  const int64 first = Max(start, 1);
  const int64 end = Min(start + count, static_cast<int64>(vector->dim) + 1);
  const int dim = count < 1 || end <= first ? 0 : static_cast<int>(end - first);
  CheckDim(V::kTypeName, dim);
  V* const result = NewVector<V>(dim);
  std::memcpy(result->x, vector->x + first - 1, VectorBytes<V>(dim) - VectorBytes<V>(0));
  PG_RETURN_POINTER(result);
}

}  // namespace

VDB_BOTH_TYPES(add, Add)
VDB_BOTH_TYPES(sub, Subtract)
VDB_BOTH_TYPES(mul, Multiply)
VDB_BOTH_TYPES(concat, Concatenate)
VDB_BOTH_TYPES(dims, Dims)
VDB_BOTH_TYPES(norm, Norm)
VDB_BOTH_TYPES(l2_normalize, Normalize)
VDB_BOTH_TYPES(binary_quantize, BinaryQuantize)
VDB_BOTH_TYPES(subvector, Subvector)

}  // namespace vdb::pg
