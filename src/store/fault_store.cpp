#include "store/fault_store.h"

#include <cstring>

namespace vdb::store {

/// Stands between the store and the one who takes the ranges.
class FaultSink : public RangeSink {
 public:
  FaultSink(FaultStore* store, std::span<const RangeRequest> requests, RangeSink* sink,
            Deadline deadline)
      : store_(store), requests_(requests), sink_(sink), deadline_(deadline) {}

  Status Done(size_t index) override {
    const RangeRequest& request = requests_[index];
    const Fault fault = store_->Next(Operation::kRange);
    VDB_RETURN_IF_ERROR(store_->Fail(fault, Describe(*request.object), deadline_));
    std::vector<uint8_t> bytes(request.target.begin(), request.target.end());
    if (fault == Fault::kFlippedBit) {
      const uint64_t bit = store_->random_.Below(bytes.size() * 8);
      request.target[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    } else if (fault == Fault::kOtherBytes) {
      // The first range of all has none before it: zeros.
      std::vector<uint8_t>& other = store_->OtherRange(request);
      other.resize(bytes.size());
      std::memcpy(request.target.data(), other.data(), bytes.size());
    }
    store_->Remember(request, std::move(bytes));
    return sink_->Done(index);
  }

 private:
  FaultStore* store_;
  std::span<const RangeRequest> requests_;
  RangeSink* sink_;
  Deadline deadline_;
};

class FaultUploads : public Uploads {
 public:
  FaultUploads(FaultStore* store, const UploadOptions& options)
      : store_(store), options_(options), uploads_(MakeInner(store, options)) {}

  Status Add(ObjectRef ref, std::vector<uint8_t> bytes) override {
    if (!error_.ok()) return error_;
    const std::string object = Describe(ref);
    const Fault fault = store_->Next(Operation::kUpload);
    error_ = store_->Fail(fault, object, Deadline::After(options_.object_timeout_ms));
    if (!error_.ok()) return error_;
    if (fault == Fault::kLost) return error_ = ReadBack(*store_, ref, options_);
    if (fault == Fault::kFlippedBit && !bytes.empty())
      bytes[store_->random_.Below(bytes.size())] ^= 1;
    error_ = uploads_->Add(ref, std::move(bytes));
    if (error_.ok() && fault == Fault::kDoneButFailed) {
      error_ = uploads_->Finish();
      if (error_.ok()) error_ = store_->DoneButFailed(object);
    }
    if (error_.ok() && options_.digest != nullptr) error_ = uploads_->Finish();
    if (error_.ok()) error_ = ReadBack(*store_, ref, options_);
    return error_;
  }
  Status Progress() override { return error_.ok() ? uploads_->Progress() : error_; }
  Status Sent() override { return error_.ok() ? uploads_->Sent() : error_; }
  Status Finish() override { return error_.ok() ? uploads_->Finish() : error_; }

 private:
  /// Reading back is done here, through the faults.
  static std::unique_ptr<Uploads> MakeInner(FaultStore* store, UploadOptions options) {
    options.digest = nullptr;
    return store->store_->NewUploads(options);
  }

  FaultStore* store_;
  UploadOptions options_;
  std::unique_ptr<Uploads> uploads_;
  Status error_;
};

void FaultStore::SetRandom(uint64_t seed, double probability, std::vector<Fault> faults) {
  random_ = SplitMix64(seed);
  probability_ = probability;
  random_faults_ = std::move(faults);
}

void FaultStore::Clear() {
  rules_.clear();
  random_faults_.clear();
  calls_of_.clear();
  calls_ = faults_ = 0;
}

FaultStore::Place FaultStore::PlaceOf(const RangeRequest& request) {
  return {request.object->digest, request.offset};
}

std::vector<uint8_t>& FaultStore::OtherRange(const RangeRequest& request) {
  return PlaceOf(request) == last_place_ ? range_before_ : last_range_;
}

void FaultStore::Remember(const RangeRequest& request, std::vector<uint8_t> bytes) {
  if (PlaceOf(request) != last_place_) range_before_ = std::move(last_range_);
  last_range_ = std::move(bytes);
  last_place_ = PlaceOf(request);
}

Fault FaultStore::Next(Operation operation) {
  const uint64_t call = ++calls_;
  const uint64_t call_of = ++calls_of_[operation];
  Fault fault = Fault::kNone;
  if (!random_faults_.empty() && random_.Unit() < probability_)
    fault = random_faults_[random_.Below(random_faults_.size())];
  for (const FaultRule& rule : rules_) {
    if (rule.operation.has_value() && *rule.operation != operation) continue;
    const uint64_t n = rule.operation.has_value() ? call_of : call;
    if (n >= rule.first && n - rule.first < rule.count) fault = rule.fault;
  }
  if (fault != Fault::kNone) ++faults_;
  return fault;
}

Status FaultStore::Fail(Fault fault, std::string_view object, Deadline deadline) {
  const auto error = [&](Code code, const char* what) {
    Status status = StoreError(code, name(), object, what);
    return code == Code::kUnavailable ? Status(std::move(status).Retryable()) : status;
  };
  switch (fault) {
    case Fault::kNoSuchHost:
      return error(Code::kUnavailable, "could not resolve its host name");
    case Fault::kConnectionLimit:
      return error(Code::kUnavailable, "could not connect: too many connections");
    case Fault::kExpiredCertificate:
      return StoreError(Code::kUnavailable, name(), object, "its certificate has expired");
    case Fault::kReset:
      return error(Code::kUnavailable, "the connection was reset");
    case Fault::kStall:
      while (!deadline.Expired()) {
        VDB_RETURN_IF_ERROR(waiter_->Wait(-1, deadline.WaitMs(1000), WaitFor::kAnswer));
      }
      return error(Code::kUnavailable, "timed out");
    case Fault::kUnauthorized:
      return error(Code::kPermission, "access denied (HTTP 403)");
    case Fault::kMissing:
      return error(Code::kNotFound, "there is no such object");
    case Fault::kBusy:
      return error(Code::kUnavailable, "cannot answer now (HTTP 503)");
    case Fault::kTooLarge:
      return error(Code::kUnsupported, "too large for the store (HTTP 413)");
    case Fault::kDiskFull:
      return error(Code::kDiskFull, "no space left on device");
    case Fault::kSlow: {
      const Deadline slow = Deadline::After(slow_ms_).Earlier(deadline);
      while (!slow.Expired()) {
        VDB_RETURN_IF_ERROR(waiter_->Wait(-1, slow.WaitMs(1000), WaitFor::kAnswer));
      }
      return deadline.Expired() ? error(Code::kUnavailable, "timed out") : Status();
    }
    default:
      return {};
  }
}

Status FaultStore::DoneButFailed(std::string_view object) const {
  return StoreError(Code::kUnavailable, name(), object, "the connection was reset").Retryable();
}

Status FaultStore::GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                             Deadline deadline) {
  FaultSink faulty(this, requests, &sink, deadline);
  return store_->GetRanges(requests, faulty, deadline);
}

std::unique_ptr<Uploads> FaultStore::NewUploads(const UploadOptions& options) {
  return std::make_unique<FaultUploads>(this, options);
}

Result<Removal> FaultStore::Remove(const ObjectRef& object, Deadline deadline) {
  const Fault fault = Next(Operation::kRemove);
  VDB_RETURN_IF_ERROR(Fail(fault, Describe(object), deadline));
  if (fault == Fault::kDisabled) return Removal::kDisabled;
  Result<Removal> removal = store_->Remove(object, deadline);
  if (removal.ok() && fault == Fault::kDoneButFailed) return DoneButFailed(Describe(object));
  return removal;
}

Result<std::optional<uint64_t>> FaultStore::Stat(const ObjectRef& object, Deadline deadline) {
  VDB_RETURN_IF_ERROR(Fail(Next(Operation::kStat), Describe(object), deadline));
  return store_->Stat(object, deadline);
}

Status FaultStore::List(std::string_view prefix,
                        const std::function<Status(const ListedObject&)>& found,
                        Deadline deadline) {
  VDB_RETURN_IF_ERROR(Fail(Next(Operation::kList), "", deadline));
  return store_->List(prefix, found, deadline);
}

Result<std::vector<UnfinishedUpload>> FaultStore::ListUnfinished(std::string_view prefix,
                                                                 Deadline deadline) {
  VDB_RETURN_IF_ERROR(Fail(Next(Operation::kList), "", deadline));
  return store_->ListUnfinished(prefix, deadline);
}

Status FaultStore::GiveUp(const UnfinishedUpload& upload, Deadline deadline) {
  VDB_RETURN_IF_ERROR(Fail(Next(Operation::kRemove), upload.name, deadline));
  return store_->GiveUp(upload, deadline);
}

Result<std::optional<Record>> FaultStore::ReadRecord(std::string_view name, Deadline deadline) {
  VDB_RETURN_IF_ERROR(Fail(Next(Operation::kReadRecord), name, deadline));
  return store_->ReadRecord(name, deadline);
}

Result<std::optional<std::string>> FaultStore::WriteRecord(
    std::string_view name, std::span<const uint8_t> value,
    const std::optional<std::string>& expected, Deadline deadline) {
  const Fault fault = Next(Operation::kWriteRecord);
  VDB_RETURN_IF_ERROR(Fail(fault, name, deadline));
  if (fault == Fault::kConflict) return std::optional<std::string>();
  if (fault == Fault::kLost) return std::optional<std::string>("lost");
  auto revision = store_->WriteRecord(name, value, expected, deadline);
  if (revision.ok() && fault == Fault::kDoneButFailed) return DoneButFailed(name);
  return revision;
}

}  // namespace vdb::store
