#include "pg/am/opclass.h"

#include <algorithm>
#include <cmath>

#include "pg/compat.h"
#include "simd/distance.h"

namespace vdb::pg {

namespace {

template <class T>
double Distance(Metric metric, const float* query, const T* row, size_t dim) noexcept {
  switch (metric) {
    case Metric::kL2:
      return std::sqrt(static_cast<double>(simd::L2Sq(query, row, dim)));
    case Metric::kInnerProduct:
      return -static_cast<double>(simd::Dot(query, row, dim));
    case Metric::kL1:
      return simd::L1(query, row, dim);
    case Metric::kCosine: {
      const simd::CosineParts parts = simd::Cosine(query, row, dim);
      const double norms =
          std::sqrt(static_cast<double>(parts.norm_sq_a) * static_cast<double>(parts.norm_sq_b));
      return 1.0 - std::clamp(static_cast<double>(parts.dot) / norms, -1.0, 1.0);
    }
  }
  return 0;
}

}  // namespace

const OpclassInfo& OpclassOf(Relation index) {
  FmgrInfo* proc = index_getprocinfo(index, 1, kOpclassInfoProc);
  return *reinterpret_cast<const OpclassInfo*>(
      DatumGetPointer(FunctionCall1(proc, PointerGetDatum(nullptr))));
}

Elements ViewElements(const OpclassInfo& opclass, Datum value, void** copy) {
  auto* detoasted = PG_DETOAST_DATUM(value);
  *copy = reinterpret_cast<Pointer>(detoasted) == DatumGetPointer(value) ? nullptr : detoasted;
  if (opclass.element == ElementType::kFloat32) {
    const auto* vector = reinterpret_cast<const Vector*>(detoasted);
    return {opclass.element, static_cast<uint32_t>(vector->dim), vector->x};
  }
  const auto* vector = reinterpret_cast<const HalfVector*>(detoasted);
  return {opclass.element, static_cast<uint32_t>(vector->dim), vector->x};
}

const float* AsFloats(const Elements& elements, float* buffer) {
  if (elements.type == ElementType::kFloat32) return elements.floats();
  simd::HalfToFloat(elements.halves(), buffer, elements.dim);
  return buffer;
}

double ExactDistance(Metric metric, const float* query, const Elements& row) noexcept {
  return row.type == ElementType::kFloat32 ? Distance(metric, query, row.floats(), row.dim)
                                           : Distance(metric, query, row.halves(), row.dim);
}

bool IsZero(const Elements& elements) noexcept {
  if (elements.type == ElementType::kFloat32) {
    return std::all_of(elements.floats(), elements.floats() + elements.dim,
                       [](float x) { return x == 0; });
  }
  return std::all_of(elements.halves(), elements.halves() + elements.dim,
                     [](Half h) { return (h.bits & 0x7fff) == 0; });
}

}  // namespace vdb::pg

// One support function an operator class; vdb_ext--1.0.sql names them.
#define VDB_OPCLASS(name, metric_value, element_value, operator_text)                          \
  VDB_FUNCTION(vdb_opclass_##name) {                                                           \
    static const vdb::pg::OpclassInfo info = {vdb::Metric::metric_value,                       \
                                              vdb::ElementType::element_value, operator_text}; \
    PG_RETURN_POINTER(&info);                                                                  \
  }

VDB_OPCLASS(vector_l2, kL2, kFloat32, "<->")
VDB_OPCLASS(vector_ip, kInnerProduct, kFloat32, "<#>")
VDB_OPCLASS(vector_cosine, kCosine, kFloat32, "<=>")
VDB_OPCLASS(vector_l1, kL1, kFloat32, "<+>")
VDB_OPCLASS(halfvec_l2, kL2, kFloat16, "<->")
VDB_OPCLASS(halfvec_ip, kInnerProduct, kFloat16, "<#>")
VDB_OPCLASS(halfvec_cosine, kCosine, kFloat16, "<=>")
VDB_OPCLASS(halfvec_l1, kL1, kFloat16, "<+>")
