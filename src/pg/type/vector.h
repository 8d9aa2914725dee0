/// The values of the SQL types `vector` and `halfvec` as they lie in memory and in heap tuples, and
/// the checks that every function on them shares. The layouts are pgvector's, byte for byte.
#pragma once

#include "base/half.h"
#include "pg/pg.h"

namespace vdb::pg {

/// Largest number of elements of a vector or halfvec.
inline constexpr int kMaxDim = 16000;

/// A varlena: read `dim` and `x` only after PG_DETOAST_DATUM. Elements are finite.
struct Vector {
  using Element = float;
  static constexpr const char* kTypeName = "vector";

  int32 vl_len_;
  int16 dim;     // 1 .. kMaxDim
  int16 unused;  // 0
  float x[FLEXIBLE_ARRAY_MEMBER];
};
static_assert(offsetof(Vector, x) == 8);

struct HalfVector {
  using Element = Half;
  static constexpr const char* kTypeName = "halfvec";

  int32 vl_len_;
  int16 dim;     // 1 .. kMaxDim
  int16 unused;  // 0
  Half x[FLEXIBLE_ARRAY_MEMBER];
};
static_assert(offsetof(HalfVector, x) == 8);

/// Bytes of a V with `dim` elements, the varlena header included.
template <class V>
constexpr Size VectorBytes(int dim) {
  return offsetof(V, x) + sizeof(typename V::Element) * static_cast<Size>(dim);
}

/// A V with `dim` elements not yet set, in CurrentMemoryContext. Pre: 1 <= dim <= kMaxDim.
template <class V>
V* NewVector(int dim) {
  auto* result = static_cast<V*>(palloc(VectorBytes<V>(dim)));
  SET_VARSIZE(result, VectorBytes<V>(dim));
  result->dim = static_cast<int16>(dim);
  result->unused = 0;
  return result;
}

/// The V behind a Datum, detoasted: the Datum itself where it is not compressed, out of line or
/// short.
template <class V>
V* DatumGetVector(Datum datum) {
  return reinterpret_cast<V*>(PG_DETOAST_DATUM(datum));
}

/// Element conversions, so that one template serves both types.
inline float ToFloat(float x) { return x; }
inline float ToFloat(Half x) { return HalfToFloat(x); }
inline void Store(float value, float* out) { *out = value; }
inline void Store(float value, Half* out) { *out = FloatToHalf(value); }

/// ERROR 22000 unless 1 <= dim, 54000 unless dim <= kMaxDim.
void CheckDim(const char* type, int dim);
/// ERROR 22000 unless the typmod `expected` is -1 or equals `dim`.
void CheckExpectedDim(int32 expected, int dim);
/// ERROR 22000 unless `dim_a` equals `dim_b`.
void CheckSameDim(const char* type, int dim_a, int dim_b);
/// ERROR 22000 when `value` is NaN or infinite.
void CheckElement(const char* type, float value);

}  // namespace vdb::pg
