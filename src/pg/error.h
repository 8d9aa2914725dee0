/// The table from the core's error codes to SQLSTATEs.
#pragma once

#include "base/status.h"

namespace vdb::pg {

/// The SQLSTATE of `code` as ereport's errcode() wants it.
int SqlState(Code code);

}  // namespace vdb::pg
