#include "pg/pg.h"

#include "pg/gc/owner_record.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "pg/catalog/store_server.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

namespace vdb::pg {
namespace {

constexpr char kRecord[] = "owner";
constexpr uint8_t kVersion = 1;
using Value = std::array<uint8_t, 1 + kOwnerTokenBytes>;  // version, token

Value ValueOf(const uint8_t* token) {
  Value value = {kVersion};
  std::copy_n(token, kOwnerTokenBytes, value.begin() + 1);
  return value;
}

bool Holds(const store::Record& record, const uint8_t* token) {
  const Value value = ValueOf(token);
  return std::equal(record.value.begin(), record.value.end(), value.begin(), value.end());
}

store::Deadline Soon() { return store::Deadline::After(RequestTimeoutMs()); }

void NewToken(uint8_t* token) { ThrowIfError(crypto::RandomBytes({token, kOwnerTokenBytes})); }

}  // namespace

void Raise(const OwnerConflict& conflict) {
  const char* const store = conflict.store.c_str();
  const char* const prefix = conflict.prefix.c_str();
  const Oid database = DatabaseOfName(conflict.prefix);
  Call([&] {
    if (database != MyDatabaseId) {
      ereport(ERROR,
              (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
               errmsg("another cluster may collect objects of database %u in store \"%s\"",
                      database, store),
               errdetail("The record \"%s%s\" was last written by that database, or by one of the "
                         "same oid in another cluster that was restored from the same backup.",
                         prefix, kRecord),
               errhint("If there is no such cluster, vdb.adopt('%s', %u) makes this database the "
                       "collector.",
                       store, database)));
    }
    if (conflict.why == OwnerConflict::Why::kLost) {
      ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                      errmsg("store \"%s\" is not the one that objects were stored in", store),
                      errdetail("It holds no record \"%s%s\", which this database has written.",
                                prefix, kRecord),
                      errhint("If the store has been emptied on purpose, vdb.adopt('%s') makes "
                              "this database its collector again.",
                              store)));
    }
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("another cluster collects garbage in store \"%s\"", store),
             errdetail("Its record \"%s%s\" was last written by somebody else, as by another "
                       "cluster that was restored from the same backup.",
                       prefix, kRecord),
             errhint("If that cluster is gone, vdb.adopt('%s') makes this database the collector.",
                     store)));
  });
  pg_unreachable();
}

OwnerRecord::OwnerRecord(store::ObjectStore& store, Oid server, const std::string& prefix)
    : store_(store) {
  row_.server = server;
  if (prefix.size() >= sizeof(row_.prefix)) {
    ThrowIfError(InvalidArgument(StrCat("object prefix \"", prefix, "\" is too long")));
  }
  prefix.copy(row_.prefix, prefix.size());
}

OwnerRecord::State OwnerRecord::Look() {
  Result<std::optional<store::Record>> record =
      store_.ReadRecord(StrCat(row_.prefix, kRecord), Soon());
  ThrowIfError(record.status());
  record_ = std::move(record).value();
  // After the record: what was written there had been committed here.
  OwnerRow found;
  known_ = Call([&] { return ReadOwner(row_.server, row_.prefix, &found); });
  if (known_) row_ = found;
  if (!record_) return known_ && row_.has_token ? State::kLost : State::kUnwritten;
  if (known_ && ((row_.has_token && Holds(*record_, row_.token)) ||
                 (row_.has_pending && Holds(*record_, row_.pending)))) {
    return State::kOurs;
  }
  return State::kContested;
}

void OwnerRecord::Ensure(WorkerClient& worker) {
  OwnerRow proposed = row_;
  proposed.has_pending = true;
  NewToken(proposed.pending);
  ThrowIfError(crypto::RandomBytes(proposed.seed));
  const std::vector<uint8_t> answer = worker.Ask(RequestKind::kEnsureOwner, proposed);
  if (answer.size() != sizeof(row_)) ThrowIfError(Internal("malformed answer of a worker"));
  std::memcpy(&row_, answer.data(), sizeof(row_));
}

void OwnerRecord::Establish(WorkerClient& worker) {
  // Also in a store without records: the table has the server's name for a pg_upgrade.
  Ensure(worker);
  if (!store_.capabilities().records || row_.has_token) return;
  // Of several first builds each writes the same token.
  if (Look() == State::kUnwritten) {
    const Value value = ValueOf(row_.pending);
    ThrowIfError(
        store_.WriteRecord(StrCat(row_.prefix, kRecord), value, std::nullopt, Soon()).status());
  }
  // Contested objects can be stored, and are read by nobody else: it is for gc to refuse.
  if (Look() == State::kOurs) worker.Ask(RequestKind::kConfirmOwner, row_);
}

bool OwnerRecord::Replace(WorkerClient& worker) {
  OwnerRow next = row_;
  if (record_) {
    // What the record holds stays known until the new token is known to be there.
    next.has_token = record_->value.size() == std::tuple_size_v<Value>;
    if (next.has_token) std::copy_n(record_->value.begin() + 1, kOwnerTokenBytes, next.token);
  }
  next.has_pending = true;
  NewToken(next.pending);
  worker.Ask(RequestKind::kAnnounceOwner, next);
  const Value value = ValueOf(next.pending);
  Result<std::optional<std::string>> written = store_.WriteRecord(
      StrCat(row_.prefix, kRecord), value,
      record_ ? std::optional<std::string>(record_->revision) : std::nullopt, Soon());
  ThrowIfError(written.status());
  if (!written.value()) return false;
  worker.Ask(RequestKind::kConfirmOwner, next);
  return true;
}

std::optional<OwnerConflict> OwnerRecord::Check() {
  switch (Look()) {
    case State::kLost:
      return Conflict(OwnerConflict::Why::kLost);
    case State::kContested:
      return Conflict(OwnerConflict::Why::kContested);
    case State::kUnwritten:
    case State::kOurs:
      break;
  }
  return {};
}

std::optional<OwnerConflict> OwnerRecord::Renew(WorkerClient& worker) {
  Establish(worker);
  if (std::optional<OwnerConflict> conflict = Check()) return conflict;
  if (!Replace(worker)) return Conflict(OwnerConflict::Why::kContested);
  return {};
}

void OwnerRecord::Take(WorkerClient& worker) {
  Ensure(worker);
  Look();
  if (!Replace(worker)) Raise(Conflict(OwnerConflict::Why::kContested));
}

}  // namespace vdb::pg
