/// vdb.last_search(): what the session's last search did.
#include "pg/am/scan.h"
#include "pg/compat.h"

extern "C" {
#include "access/htup_details.h"
}

VDB_FUNCTION(vdb_last_search) {
  using vdb::pg::LastSearch;
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "return type must be a row type");
  }
  const LastSearch& last = vdb::pg::GetLastSearch();
  // Before the first search of a session there is nothing to tell: all columns are NULL.
  const bool none = !OidIsValid(last.index);
  const auto milliseconds = [](int64_t ns) {
    return Float8GetDatum(static_cast<double>(ns) / 1e6);
  };
  const auto number = [](uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); };
  Datum values[] = {ObjectIdGetDatum(last.index),
                    number(last.stats.rounds),
                    number(last.stats.lists),
                    number(last.stats.rows_scanned),
                    number(last.stats.survivors),
                    number(last.stats.exact),
                    number(last.stats.rejected),
                    number(last.stats.late),
                    number(last.returned),
                    number(last.use.remote.rounds),
                    number(last.use.remote.requests),
                    number(last.use.remote.bytes),
                    number(last.use.cache.hits),
                    number(last.use.cache.misses),
                    milliseconds(last.times.ranking_ns),
                    milliseconds(last.times.scanning_ns),
                    milliseconds(last.times.fetching_ns),
                    milliseconds(last.times.exact_ns),
                    milliseconds(last.times.total_ns())};
  bool nulls[lengthof(values)];
  for (bool& null : nulls) null = none;
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
