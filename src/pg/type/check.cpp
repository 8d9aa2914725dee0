#include "pg/type/vector.h"

#include <cmath>

namespace vdb::pg {

void CheckDim(const char* type, int dim) {
  if (dim < 1) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION), errmsg("%s must have at least 1 dimension", type)));
  }
  if (dim > kMaxDim) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("%s cannot have more than %d dimensions", type, kMaxDim)));
  }
}

void CheckExpectedDim(int32 expected, int dim) {
  if (expected != -1 && expected != dim) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected %d dimensions, not %d", expected, dim)));
  }
}

void CheckSameDim(const char* type, int dim_a, int dim_b) {
  if (dim_a != dim_b) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("different %s dimensions %d and %d", type, dim_a, dim_b)));
  }
}

void CheckElement(const char* type, float value) {
  if (std::isnan(value)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in %s", type)));
  }
  if (std::isinf(value)) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION), errmsg("infinite value not allowed in %s", type)));
  }
}

}  // namespace vdb::pg
