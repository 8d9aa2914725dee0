#include "pg/pg.h"

#include "pg/gc/store_access.h"

#include "base/strcat.h"
#include "pg/catalog/ledger.h"
#include "pg/compat.h"
#include "pg/guard.h"

extern "C" {
#include "foreign/foreign.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

/// False also when the role does not exist any more.
bool MayUse(Oid role, Oid server) {
  return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)) &&
         compat::MayUseServer(server, role);
}

}  // namespace

std::string ServerName(Oid server) {
  const ForeignServer* const found =
      Call([&] { return GetForeignServerExtended(server, FSV_MISSING_OK); });
  return found == nullptr ? std::string() : std::string(found->servername);
}

std::string TryOpenStore(Oid server, Oid owner, StoreHandle* handle) {
  const ErrorData* const error = Attempt("vdb.gc", [&] {
    const Oid role = Call([&] {
      const ForeignServer* const found = GetForeignServer(server);
      return MayUse(owner, server) ? owner : found->owner;
    });
    *handle = OpenStore(server, role);
  });
  if (error == nullptr) return {};
  switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
    case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
    case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
      Call([&] { ReThrowError(const_cast<ErrorData*>(error)); });
      break;
    default:
      break;
  }
  return error->message;
}

Oid CollectingRole(Oid server) {
  return Call([&] {
    Oid role = GetUserId();
    ForEachLedgerRow([&](const LedgerRow& row) {
      if (row.key.server != server || row.database != MyDatabaseId) return true;
      const bool may = MayUse(row.owner, server);
      role = may ? row.owner : GetForeignServer(server)->owner;
      return !may;
    });
    return role;
  });
}

std::string ReasonOf(const Status& status) {
  if (status.code() == Code::kCancelled || status.code() == Code::kResourceExhausted ||
      status.code() == Code::kInternal) {
    throw StatusError{status};
  }
  return status.detail().empty() ? status.message()
                                 : StrCat(status.message(), " (", status.detail(), ")");
}

}  // namespace vdb::pg
