/// HttpContext: what all operations of one HTTP store share.
#pragma once

#include <memory>
#include <string>

#include "base/random.h"
#include "store/http_driver.h"
#include "store/object_store.h"
#include "store/store_stats.h"

namespace vdb::store {

struct Verdict;

struct HttpContext {
  std::string name;  // of the store
  HttpOptions options;
  Waiter* waiter;
  StoreState* state;  // may be shared with other processes
  SplitMix64 random{0};
  std::unique_ptr<HttpDriver> driver;
  /// Reads a refusal as the store means it, where its status does not say that.
  void (*reread)(const HttpReply& reply, Verdict& verdict) = nullptr;

  /// Made when it is first needed, so that a store which is only declared costs no descriptor.
  Result<HttpDriver*> Driver();
};

/// One operation's leave to ask the store, by the breaker. Whatever happens, the breaker hears of
/// it.
class Permission {
 public:
  explicit Permission(HttpContext* context) : context_(context) {}
  Permission(const Permission&) = delete;
  Permission& operator=(const Permission&) = delete;
  ~Permission();

  /// Errors: kUnavailable at once when the store has just been found not to answer.
  Status Ask(std::string_view object, Deadline deadline);
  void Answered();
  /// The time in ms that it makes sense to wait before asking; 0: none, or too little would be left
  /// of the deadline.
  int64_t WaitMs(Deadline deadline) const;
  /// The operation fails because the store does not answer. The breaker opens unless the store has
  /// answered it, or somebody else meanwhile, or it had so little time that this says nothing.
  void Failed(bool timed_out);

 private:
  HttpContext* context_;
  Breaker::Permit permit_ = Breaker::Permit::kNo;
  bool answered_ = false;
  int64_t asked_ms_ = 0;
};

}  // namespace vdb::store
