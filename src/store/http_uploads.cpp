#include "store/http_uploads.h"

#include <algorithm>
#include <optional>

#include "store/exchange.h"
#include "store/range_batch.h"

namespace vdb::store {
namespace {

// One that is sent, one that the store works on, and one that is read back.
constexpr size_t kLeastInFlight = 3;
// What took so small a part of its time went quickly.
constexpr int64_t kQuickPart = 8;

}  // namespace

/// One object: sent, then read back.
class HttpUploads::Upload {
 public:
  Upload(HttpUploads* uploads, ObjectRef ref, std::vector<uint8_t> bytes)
      : uploads_(uploads),
        store_(uploads->store_),
        options_(uploads->options_),
        ref_(std::move(ref)),
        started_ms_(MonotonicMs()),
        exchange_(store_->NewUpload(ref_, std::move(bytes))) {
    sending_.emplace(&store_->context_, exchange_.get(), Describe(ref_),
                     Deadline::After(options_.object_timeout_ms));
  }

  /// True when it has ended; see status().
  bool Step() {
    if (!is_sent()) {
      if (!sending_->Step()) return false;
      status_ = sending_->status();
      uploads_->Took(MonotonicMs() - started_ms_);
      // What was sent makes room for what comes back.
      sending_.reset();
      exchange_.reset();
      if (!status_.ok() || options_.digest == nullptr) return true;
      bytes_.resize(ref_.size);
      started_ms_ = MonotonicMs();
      requests_ = WholeObject(ref_, bytes_, options_.max_range_bytes);
      RangeSource* const source = store_;
      reading_.emplace(&store_->context_, source, requests_, &sink_,
                       Deadline::After(options_.object_timeout_ms), false);
    }
    if (!reading_->Step()) return false;
    status_ = reading_->status();
    uploads_->Took(MonotonicMs() - started_ms_);
    if (status_.ok()) status_ = CheckReadBack(store_->name(), ref_, bytes_, options_.digest);
    return true;
  }
  const Status& status() const { return status_; }
  bool is_sent() const { return !sending_.has_value(); }
  uint64_t bytes() const { return ref_.size; }
  int WaitMs() const { return is_sent() ? reading_->WaitMs() : sending_->WaitMs(); }
  WaitFor what() const {
    if (!is_sent()) return sending_->rests() ? WaitFor::kRetry : WaitFor::kUpload;
    return reading_->rests() ? WaitFor::kRetry : WaitFor::kRead;
  }

 private:
  HttpUploads* uploads_;
  HttpStore* store_;
  const UploadOptions& options_;
  ObjectRef ref_;
  int64_t started_ms_;  // sending, then reading
  Status status_;
  std::unique_ptr<Exchange> exchange_;
  std::optional<ExchangeRun> sending_;  // ends before what it runs
  std::vector<uint8_t> bytes_;          // that come back
  std::vector<RangeRequest> requests_;
  TakeAll sink_;
  std::optional<RangeBatch> reading_;  // ends before what it fills
};

HttpUploads::HttpUploads(HttpStore* store, const UploadOptions& options)
    : store_(store), options_(options), window_(kLeastInFlight) {
  // At least one: otherwise nothing would ever be stored.
  options_.max_in_flight = std::max<size_t>(options.max_in_flight, 1);
}

HttpUploads::~HttpUploads() = default;

bool HttpUploads::HasRoom(uint64_t bytes) const {
  const size_t count = uploads_.size();
  if (count >= std::min(window_, options_.max_in_flight)) return false;
  return count < kLeastInFlight || held_bytes_ + bytes <= options_.max_bytes;
}

void HttpUploads::Took(int64_t ms) {
  const bool quick = ms * kQuickPart <= options_.object_timeout_ms;
  window_ = quick ? std::min(window_ + 1, options_.max_in_flight) : kLeastInFlight;
}

Status HttpUploads::Add(ObjectRef ref, std::vector<uint8_t> bytes) {
  if (!error_.ok()) return error_;
  error_ = store_->CheckObject(ref);
  if (error_.ok() && bytes.size() != ref.size)
    error_ = InvalidArgument("an object of another size than its name");
  if (error_.ok()) error_ = Step();
  while (error_.ok() && !HasRoom(bytes.size())) error_ = Pump(true);
  if (!error_.ok()) return error_;
  held_bytes_ += bytes.size();
  uploads_.push_back(std::make_unique<Upload>(this, std::move(ref), std::move(bytes)));
  return error_ = Step();
}

Status HttpUploads::Progress() {
  if (error_.ok() && !uploads_.empty()) error_ = Pump(false);
  return error_;
}

Status HttpUploads::Sent() {
  const auto is_sent = [](const std::unique_ptr<Upload>& upload) { return upload->is_sent(); };
  while (error_.ok() && !std::all_of(uploads_.begin(), uploads_.end(), is_sent)) {
    error_ = Pump(true);
  }
  return error_;
}

Status HttpUploads::Finish() {
  while (error_.ok() && !uploads_.empty()) error_ = Pump(true);
  return error_;
}

Status HttpUploads::Step() {
  for (size_t i = 0; i < uploads_.size();) {
    Upload& upload = *uploads_[i];
    if (!upload.Step()) {
      ++i;
      continue;
    }
    VDB_RETURN_IF_ERROR(upload.status());
    held_bytes_ -= upload.bytes();
    uploads_.erase(uploads_.begin() + static_cast<ptrdiff_t>(i));
  }
  return {};
}

Status HttpUploads::Pump(bool wait) {
  int wait_ms = wait ? 1000 : 0;
  WaitFor what = WaitFor::kRetry;
  for (const std::unique_ptr<Upload>& upload : uploads_) {
    wait_ms = std::min(wait_ms, upload->WaitMs());
    if (what == WaitFor::kRetry || upload->what() == WaitFor::kUpload) what = upload->what();
  }
  VDB_ASSIGN_OR_RETURN(HttpDriver * driver, store_->context_.Driver());
  VDB_RETURN_IF_ERROR(driver->Pump(wait_ms, what));
  return Step();
}

}  // namespace vdb::store
