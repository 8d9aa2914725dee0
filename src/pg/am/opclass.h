/// What an operator class means to the index: metric and element type, and how its values become
/// floats.
#pragma once

#include "base/half.h"
#include "base/metric.h"
#include "pg/pg.h"
#include "pg/type/vector.h"

namespace vdb::pg {

/// The access method's one support function: takes nothing of use, returns a pointer to an
/// OpclassInfo.
inline constexpr int kOpclassInfoProc = 1;

struct OpclassInfo {
  Metric metric;
  ElementType element;
  const char* operator_name;  // as in SQL
};

/// The opclass of the index's only column. May ereport.
const OpclassInfo& OpclassOf(Relation index);

/// Elements of a detoasted value, in the column's element type.
struct Elements {
  ElementType type;
  uint32_t dim;
  const void* data;

  const float* floats() const { return static_cast<const float*>(data); }
  const Half* halves() const { return static_cast<const Half*>(data); }
};

/// Views a value; detoasts it when it must (then *copy is palloc'd memory to pfree, else null). May
/// ereport.
Elements ViewElements(const OpclassInfo& opclass, Datum value, void** copy);

/// Elements as floats: as they are, or widened into `buffer` (dim floats).
const float* AsFloats(const Elements& elements, float* buffer);

/// The metric's distance between a float query and a row's value, as the SQL operator shows it.
/// Never ereports.
double ExactDistance(Metric metric, const float* query, const Elements& row) noexcept;

/// Whether the value is all zeros, which cosine indexes leave out.
bool IsZero(const Elements& elements) noexcept;

}  // namespace vdb::pg
