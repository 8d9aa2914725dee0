/// The distance operators. Hot: one call per row of a sequential scan or a rerank, so nothing here
/// but detoasting, the check of the dimensions and the kernel.
#include "pg/pg.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "pg/type/function.h"
#include "simd/distance.h"

namespace vdb::pg {
namespace {

template <class V, class Measure>
Datum Apply(FunctionCallInfo fcinfo, Measure measure) {
  const V* const a = DatumGetVector<V>(PG_GETARG_DATUM(0));
  const V* const b = DatumGetVector<V>(PG_GETARG_DATUM(1));
  CheckSameDim(V::kTypeName, a->dim, b->dim);
  PG_RETURN_FLOAT8(measure(a->x, b->x, static_cast<size_t>(a->dim)));
}

template <class V>
Datum L2(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) {
    return std::sqrt(static_cast<double>(simd::L2Sq(a, b, n)));
  });
}

template <class V>
Datum L2Squared(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) -> double { return simd::L2Sq(a, b, n); });
}

template <class V>
Datum InnerProduct(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) -> double { return simd::Dot(a, b, n); });
}

template <class V>
Datum NegativeInnerProduct(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) -> double { return -simd::Dot(a, b, n); });
}

// NaN when a vector is zero. The clamp takes care of rounding: a vector's similarity to itself may
// come out just above 1.
template <class V>
Datum Cosine(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) {
    const simd::CosineParts parts = simd::Cosine(a, b, n);
    const double norms = std::sqrt(static_cast<double>(parts.norm_sq_a) * parts.norm_sq_b);
    return 1.0 - std::clamp(parts.dot / norms, -1.0, 1.0);
  });
}

template <class V>
Datum L1(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) -> double { return simd::L1(a, b, n); });
}

// The angle between unit vectors as a fraction of pi.
template <class V>
Datum Spherical(FunctionCallInfo fcinfo) {
  return Apply<V>(fcinfo, [](auto* a, auto* b, size_t n) {
    const auto dot = static_cast<double>(simd::Dot(a, b, n));
    return std::acos(std::clamp(dot, -1.0, 1.0)) / std::numbers::pi;
  });
}

}  // namespace

VDB_BOTH_TYPES(l2_distance, L2)
VDB_BOTH_TYPES(l2_squared_distance, L2Squared)
VDB_BOTH_TYPES(inner_product, InnerProduct)
VDB_BOTH_TYPES(negative_inner_product, NegativeInnerProduct)
VDB_BOTH_TYPES(cosine_distance, Cosine)
VDB_BOTH_TYPES(l1_distance, L1)
VDB_BOTH_TYPES(spherical_distance, Spherical)

}  // namespace vdb::pg
