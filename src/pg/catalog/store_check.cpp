/// vdb.store_check(server): does the store do what an index will want of it, step by step?
#include "pg/pg.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/hex.h"
#include "base/strcat.h"
#include "crypto/hash.h"
#include "pg/catalog/store_server.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"
#include "store/object_store.h"

extern "C" {
#include "access/xlog.h"
#include "foreign/foreign.h"
}

namespace vdb::pg {
namespace {

// S5 portals serve ranges of objects over 256 KiB alone.
constexpr size_t kObjectBytes = 300 * 1024;
// Whoever cancels a check waits no longer for its object to go.
constexpr int64_t kLeftoverMs = 5000;
constexpr size_t kRangeOffset = 123456, kRangeBytes = 54321;

/// One row of the answer. Steps run until one fails.
class Report {
 public:
  explicit Report(ReturnSetInfo* info) : info_(info) {}

  /// False when the step, or one before it, failed. `step` may say what it found in *note.
  bool Step(const char* name, const std::function<Status(std::string* note)>& step) {
    if (failed_) return false;
    std::string note;
    const auto start = std::chrono::steady_clock::now();
    const Status status = step(&note);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    failed_ = !status.ok();
    if (failed_) {
      note = status.message();
      if (!status.detail().empty()) note += StrCat(" (", status.detail(), ")");
    }
    Call([&] {
      Datum values[4] = {CStringGetTextDatum(name), BoolGetDatum(!failed_),
                         Float8GetDatum(took.count()), CStringGetTextDatum(note.c_str())};
      bool nulls[4] = {false, false, false, note.empty()};
      tuplestore_putvalues(info_->setResult, info_->setDesc, values, nulls);
    });
    return !failed_;
  }

 private:
  ReturnSetInfo* info_;
  bool failed_ = false;
};

store::Deadline Soon() { return store::Deadline::After(RequestTimeoutMs()); }

/// Named like an index's object, so that what a crash leaves is listed by vdb.gc().
store::ObjectRef ObjectOf(const std::vector<uint8_t>& bytes) {
  store::ObjectRef object;
  object.digest = crypto::Blake3(bytes);
  object.size = bytes.size();
  object.name = StrCat(ObjectPrefix(GetSystemIdentifier(), MyDatabaseId), "check/",
                       Hex(object.digest), ".bin");
  return object;
}

/// All steps but the last. False: the object has not been written.
bool WriteAndRead(store::ObjectStore& store, const store::ObjectRef& object,
                  const std::vector<uint8_t>& bytes, Report* report) {
  if (store.capabilities().version) {
    report->Step("version", [&](std::string* note) -> Status {
      Result<std::string> version = store.Version(Soon());
      // A proxy before it may let nothing through but objects.
      const bool answers = version.ok() || version.status().code() != Code::kUnavailable;
      *note = version.ok() ? *version : std::string(version.status().message());
      return answers ? Status() : version.TakeStatus();
    });
  }
  const bool written = report->Step("write", [&](std::string* note) -> Status {
    const std::unique_ptr<store::Uploads> uploads =
        store.NewUploads({.max_in_flight = 1, .object_timeout_ms = RequestTimeoutMs()});
    VDB_RETURN_IF_ERROR(uploads->Add(object, bytes));
    VDB_RETURN_IF_ERROR(uploads->Finish());
    *note = StrCat(bytes.size(), " bytes");
    return {};
  });
  report->Step("size", [&](std::string*) -> Status {
    VDB_ASSIGN_OR_RETURN(const std::optional<uint64_t> size, store.Stat(object, Soon()));
    if (!size) return Status(Code::kNotFound, "the object that was written is not there");
    if (*size != object.size) return Corruption(StrCat("the store says ", *size, " bytes"));
    return {};
  });
  report->Step("range", [&](std::string* note) -> Status {
    std::vector<uint8_t> part(kRangeBytes);
    VDB_RETURN_IF_ERROR(store::GetRange(store, {&object, kRangeOffset, std::span(part)}, Soon()));
    if (!std::equal(part.begin(), part.end(), bytes.begin() + kRangeOffset)) {
      return Corruption("the store returned other bytes than were written");
    }
    *note = StrCat(kRangeBytes, " bytes");
    return {};
  });
  report->Step("verify", [&](std::string*) -> Status {
    std::vector<uint8_t> whole(bytes.size());
    VDB_RETURN_IF_ERROR(store::GetRange(store, {&object, 0, std::span(whole)}, Soon()));
    if (whole != bytes) return Corruption("the store returned other bytes than were written");
    return {};
  });
  return written;
}

/// Of what may or may not be there, as far as that is possible soon. Null: no ERROR came between.
ErrorData* RemoveLeftover(store::ObjectStore& store, const store::ObjectRef& object) {
  return Attempt("vdb.store_check", [&] {
    const int64_t ms = std::min<int64_t>(RequestTimeoutMs(), kLeftoverMs);
    (void)store.Remove(object, store::Deadline::After(ms));
  });
}

void CheckStore(Oid server, ReturnSetInfo* info) {
  const std::shared_ptr<store::ObjectStore> store = OpenStore(server, GetUserId()).store;
  // Random: no store has them already, and nothing on the way compresses them.
  std::vector<uint8_t> bytes(kObjectBytes);
  if (!pg_strong_random(bytes.data(), bytes.size())) {
    ThrowIfError(Internal("could not get random bytes"));
  }
  const store::ObjectRef object = ObjectOf(bytes);

  Report report(info);
  bool written = false;
  ErrorData* error =
      Attempt("vdb.store_check", [&] { written = WriteAndRead(*store, object, bytes, &report); });
  // A cancel, or a write that failed, may have come when all had arrived.
  if (error != nullptr || !written) {
    ErrorData* const another = RemoveLeftover(*store, object);
    if (error == nullptr) error = another;
  }
  if (error != nullptr) Call([&] { ReThrowError(error); });
  // Also what a failed step leaves behind.
  Report after(info);
  if (!written) return;
  after.Step("remove", [&](std::string* note) -> Status {
    VDB_ASSIGN_OR_RETURN(const store::Removal removal, store->Remove(object, Soon()));
    switch (removal) {
      case store::Removal::kRemoved:
        return {};
      case store::Removal::kAbsent:
        return Status(Code::kNotFound, "the object that was written is not there");
      case store::Removal::kDisabled:
        *note = "not deleted: the store has deleting disabled";
        return {};
    }
    return {};
  });
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_store_check) {
  InitMaterializedSRF(fcinfo, 0);
  const Oid server = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
  vdb::pg::Entry(__func__, [&] {
    vdb::pg::CheckStore(server, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  });
  return static_cast<Datum>(0);
}
