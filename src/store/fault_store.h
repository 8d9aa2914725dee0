/// FaultStore: another store, with faults: for tests of everything that stands on stores.
#pragma once

#include <map>
#include <utility>

#include "base/random.h"
#include "store/object_store.h"

namespace vdb::store {

enum class Fault : uint8_t {
  kNone,
  // Errors: what the real stores make of them.
  kNoSuchHost,       // kUnavailable
  kConnectionLimit,  // kUnavailable
  kExpiredCertificate,
  kReset,         // kUnavailable
  kStall,         // waits until the deadline, then kUnavailable
  kUnauthorized,  // kPermission: 401, 403
  kMissing,       // kNotFound: 404
  kBusy,          // kUnavailable: 409, 429, 500, 503
  kTooLarge,      // kUnsupported: 413
  kDiskFull,
  // No error.
  kSlow,        // waits `slow_ms` first
  kFlippedBit,  // ranges, uploads
  kOtherBytes,  // ranges: those of the last other range, perhaps of another object or an older one
  kLost,        // uploads, records: said to be written, but is not
  // Done, but an error all the same: kUnavailable. Uploads, removals, records.
  kDoneButFailed,
  kDisabled,  // removals: Removal::kDisabled
  kConflict,  // records: someone else was first
};

enum class Operation : uint8_t {
  kRange,
  kUpload,
  kRemove,
  kStat,
  kList,
  kReadRecord,
  kWriteRecord
};

/// Which calls go wrong. Calls are counted from 1, for each operation and over all.
struct FaultRule {
  Fault fault = Fault::kNone;
  std::optional<Operation> operation = std::nullopt;  // none: any, counted over all
  uint64_t first = 1;
  uint64_t count = 1;
};

class FaultStore : public ObjectStore {
 public:
  /// `store` and `waiter` outlive it.
  FaultStore(ObjectStore* store, Waiter* waiter) : store_(store), waiter_(waiter) {}

  void Add(const FaultRule& rule) { rules_.push_back(rule); }
  /// Besides: each call has one of `faults` with this probability, in a sequence that `seed` says.
  void SetRandom(uint64_t seed, double probability, std::vector<Fault> faults);
  /// No more faults; the counters begin anew.
  void Clear();

  uint64_t calls() const { return calls_; }
  uint64_t faults() const { return faults_; }
  void set_slow_ms(int ms) { slow_ms_ = ms; }

  const std::string& name() const override { return store_->name(); }
  Capabilities capabilities() const override { return store_->capabilities(); }
  Status GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                   Deadline deadline) override;
  std::unique_ptr<Uploads> NewUploads(const UploadOptions& options) override;
  Result<Removal> Remove(const ObjectRef& object, Deadline deadline) override;
  Result<std::optional<uint64_t>> Stat(const ObjectRef& object, Deadline deadline) override;
  Status List(std::string_view prefix, const std::function<Status(const ListedObject&)>& found,
              Deadline deadline) override;
  Result<std::vector<UnfinishedUpload>> ListUnfinished(std::string_view prefix,
                                                       Deadline deadline) override;
  Status GiveUp(const UnfinishedUpload& upload, Deadline deadline) override;
  Result<std::optional<Record>> ReadRecord(std::string_view name, Deadline deadline) override;
  Result<std::optional<std::string>> WriteRecord(std::string_view name,
                                                 std::span<const uint8_t> value,
                                                 const std::optional<std::string>& expected,
                                                 Deadline deadline) override;

 private:
  friend class FaultSink;
  friend class FaultUploads;

  using Place = std::pair<Digest, uint64_t>;
  static Place PlaceOf(const RangeRequest& request);
  /// The bytes of the last range that was another one.
  std::vector<uint8_t>& OtherRange(const RangeRequest& request);
  void Remember(const RangeRequest& request, std::vector<uint8_t> bytes);

  /// Counts a call; the fault that it has.
  Fault Next(Operation operation);
  /// The error of a fault that is one, having waited where it says so. OK for the others.
  Status Fail(Fault fault, std::string_view object, Deadline deadline);
  Status DoneButFailed(std::string_view object) const;

  ObjectStore* store_;
  Waiter* waiter_;
  std::vector<FaultRule> rules_;
  std::map<Operation, uint64_t> calls_of_;
  uint64_t calls_ = 0;
  uint64_t faults_ = 0;
  SplitMix64 random_{0};
  double probability_ = 0;
  std::vector<Fault> random_faults_;
  int slow_ms_ = 50;
  // What was read last, where, and what before that from elsewhere.
  std::vector<uint8_t> last_range_, range_before_;
  Place last_place_;
};

}  // namespace vdb::store
