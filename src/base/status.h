/// Status and Result<T>: how every layer below src/pg reports failure.
///
/// An OK Status is a null pointer: it costs nothing to make, move or test. A failed one carries a
/// code, a message in PostgreSQL's error style (no capital, no full stop), and optionally a DETAIL
/// and a HINT. Never put a key, a token, a signed URL or a vector component into any of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vdb {

/// What went wrong. src/pg/error.cpp maps each code to one SQLSTATE.
enum class Code : unsigned char {
  kOk = 0,
  kInvalidArgument,    // 22023
  kCorruption,         // XX002: damaged, truncated, swapped or unauthentic bytes
  kUnavailable,        // 08006: store unreachable or timed out
  kRefused,            // 08006: the store has answered, and does not do it; it may do others
  kResourceExhausted,  // 53200
  kDiskFull,           // 53100: no room in the store
  kUnsupported,        // 0A000
  kPermission,         // 42501
  kNotFound,           // 58P01: a missing object
  kConfiguration,      // F0000: a file that a setting names is not as it must be
  kCancelled,          // 57014: the interrupt poll said stop
  kInternal,           // XX000
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : rep_(new Rep{code, false, std::move(message), {}, {}}) {}
  Status(const Status& other) : rep_(other.rep_ ? new Rep(*other.rep_) : nullptr) {}
  Status& operator=(const Status& other) {
    if (this != &other) rep_.reset(other.rep_ ? new Rep(*other.rep_) : nullptr);
    return *this;
  }
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  static Status Ok() { return {}; }

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  /// Whether trying the same thing again can help.
  bool retryable() const { return rep_ && rep_->retryable; }
  const std::string& message() const { return rep_ ? rep_->message : Empty(); }
  const std::string& detail() const { return rep_ ? rep_->detail : Empty(); }
  const std::string& hint() const { return rep_ ? rep_->hint : Empty(); }

  Status&& WithDetail(std::string text) && {
    if (rep_) rep_->detail = std::move(text);
    return std::move(*this);
  }
  Status&& WithHint(std::string text) && {
    if (rep_) rep_->hint = std::move(text);
    return std::move(*this);
  }
  Status&& Retryable() && {
    if (rep_) rep_->retryable = true;
    return std::move(*this);
  }

 private:
  struct Rep {
    Code code;
    bool retryable;
    std::string message, detail, hint;
  };
  static const std::string& Empty() {
    static const std::string& empty = *new std::string();
    return empty;
  }
  std::unique_ptr<Rep> rep_;
};

inline Status Corruption(std::string message) { return {Code::kCorruption, std::move(message)}; }
inline Status InvalidArgument(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }

/// A value, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  Status&& TakeStatus() { return std::move(status_); }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace vdb

/// Returns the failed Status of `expression` from the enclosing function.
#define VDB_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                   \
    if (::vdb::Status vdb_status_ = (expression); !vdb_status_.ok()) return vdb_status_; \
  } while (0)

#define VDB_CONCAT_INNER_(a, b) a##b
#define VDB_CONCAT_(a, b) VDB_CONCAT_INNER_(a, b)
/// Evaluates a Result<T> expression; assigns its value to `target` or returns its Status.
#define VDB_ASSIGN_OR_RETURN(target, expression)            \
  auto VDB_CONCAT_(vdb_result_, __LINE__) = (expression);   \
  if (!VDB_CONCAT_(vdb_result_, __LINE__).ok())             \
    return VDB_CONCAT_(vdb_result_, __LINE__).TakeStatus(); \
  target = std::move(VDB_CONCAT_(vdb_result_, __LINE__)).value()
