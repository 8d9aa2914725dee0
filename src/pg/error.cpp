#include "pg/pg.h"

#include "pg/error.h"

namespace vdb::pg {

int SqlState(Code code) {
  switch (code) {
    case Code::kOk:
      return ERRCODE_SUCCESSFUL_COMPLETION;
    case Code::kInvalidArgument:
      return ERRCODE_INVALID_PARAMETER_VALUE;
    case Code::kCorruption:
      return ERRCODE_INDEX_CORRUPTED;
    case Code::kUnavailable:
    case Code::kRefused:
      return ERRCODE_CONNECTION_FAILURE;
    case Code::kResourceExhausted:
      return ERRCODE_OUT_OF_MEMORY;
    case Code::kDiskFull:
      return ERRCODE_DISK_FULL;
    case Code::kUnsupported:
      return ERRCODE_FEATURE_NOT_SUPPORTED;
    case Code::kPermission:
      return ERRCODE_INSUFFICIENT_PRIVILEGE;
    case Code::kNotFound:
      return ERRCODE_UNDEFINED_FILE;
    case Code::kConfiguration:
      return ERRCODE_CONFIG_FILE_ERROR;
    case Code::kCancelled:
      return ERRCODE_QUERY_CANCELED;
    case Code::kInternal:
      break;
  }
  return ERRCODE_INTERNAL_ERROR;
}

}  // namespace vdb::pg
