/// Report: the rows that vdb.gc and vdb.purge return.
#pragma once

#include <string>

#include "pg/guard.h"

extern "C" {
#include "utils/tuplestore.h"
}

namespace vdb::pg {

class Report {
 public:
  explicit Report(ReturnSetInfo* info) : info_(info) {}

  /// Throws ErrorPending.
  void Add(const std::string& object, const std::string& server, const char* action,
           const std::string& reason) {
    Call([&] {
      Datum values[] = {CStringGetTextDatum(object.c_str()),
                        DirectFunctionCall1(namein, CStringGetDatum(server.c_str())),
                        CStringGetTextDatum(action), CStringGetTextDatum(reason.c_str())};
      bool nulls[] = {false, server.empty(), false, false};
      tuplestore_putvalues(info_->setResult, info_->setDesc, values, nulls);
      // It has copied them; one call may report any number of objects.
      for (const Datum value : values) pfree(DatumGetPointer(value));
    });
  }

 private:
  ReturnSetInfo* info_;
};

inline constexpr char kRemoved[] = "removed";
inline constexpr char kKept[] = "kept";
inline constexpr char kWouldRemove[] = "would remove";
inline constexpr char kDisabled[] = "disabled";
inline constexpr char kForgotten[] = "forgotten";

}  // namespace vdb::pg
