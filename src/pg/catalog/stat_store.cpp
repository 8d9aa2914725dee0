/// vdb.stat_store: what has been asked of each store, and how it has answered.
#include "pg/pg.h"

#include <string>

#include "base/strcat.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/store/store_states.h"
#include "store/deadline.h"
#include "store/http_request.h"

extern "C" {
#include "foreign/foreign.h"
#include "utils/jsonb.h"
}

namespace vdb::pg {
namespace {

// As store::HttpError and store::Refusal number them.
constexpr const char* kErrorNames[] = {"none",      "resolve",     "connect", "certificate",
                                       "tls",       "reset",       "timeout", "wrong_range",
                                       "too_large", "descriptors", "other"};
static_assert(std::size(kErrorNames) == store::kHttpErrors);
constexpr const char* kRefusalNames[] = {"authorization", "missing", "conflict", "body_too_large",
                                         "too_many",      "server",  "refused"};
static_assert(std::size(kRefusalNames) == store::kRefusals);

uint64_t Read(const store::StoreState::Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}

/// The kinds of error that have occurred, as a JSON object.
std::string ErrorsOf(const store::StoreState& state) {
  std::string json;
  const auto add = [&json](const char* name, uint64_t count) {
    if (count > 0) json += StrCat(json.empty() ? "" : ", ", '"', name, "\": ", count);
  };
  for (size_t i = 1; i < store::kHttpErrors; ++i) add(kErrorNames[i], Read(state.errors[i]));
  for (size_t i = 0; i < store::kRefusals; ++i) add(kRefusalNames[i], Read(state.refusals[i]));
  return StrCat("{", json, "}");
}

const char* NameOf(store::Breaker::State state) {
  switch (state) {
    case store::Breaker::State::kClosed:
      return "closed";
    case store::Breaker::State::kOpen:
      return "open";
    case store::Breaker::State::kProbing:
      return "probing";
  }
  return "?";
}

void Emit(ReturnSetInfo* info, Oid oid, const store::StoreState& state) {
  const std::string errors = ErrorsOf(state);
  const bool measured = state.latency.count() > 0;
  const char* const breaker = NameOf(state.breaker.state(store::MonotonicMs()));
  Call([&] {
    const ForeignServer* const server = GetForeignServerExtended(oid, FSV_MISSING_OK);
    if (server == nullptr) return;
    const auto number = [](const store::StoreState::Counter& counter) {
      return Int64GetDatum(static_cast<int64>(Read(counter)));
    };
    const auto milliseconds = [&state](double share) {
      return Float8GetDatum(static_cast<double>(state.latency.Quantile(share)) / 1000);
    };
    Datum values[] = {DirectFunctionCall1(namein, CStringGetDatum(server->servername)),
                      CStringGetTextDatum(breaker),
                      number(state.requests),
                      number(state.received_bytes),
                      number(state.sent_bytes),
                      DirectFunctionCall1(jsonb_in, CStringGetDatum(errors.c_str())),
                      number(state.retries),
                      number(state.hedges),
                      number(state.hedges_won),
                      number(state.refetches),
                      number(state.not_asked),
                      milliseconds(0.5),
                      milliseconds(0.95),
                      milliseconds(0.99)};
    bool nulls[lengthof(values)] = {};
    for (size_t i = lengthof(values) - 3; i < lengthof(values); i++) nulls[i] = !measured;
    tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
  });
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_stat_store) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry(__func__, [&]() -> Datum {
    Call([&] { InitMaterializedSRF(fcinfo, 0); });
    auto* const info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    ForEachStore(
        [info](Oid server, const vdb::store::StoreState& state) { Emit(info, server, state); });
    return 0;
  });
}
