/// HttpDriver: many requests at a time by one thread, over connections that are kept.
///
/// Curl's multi interface over one epoll descriptor, in which one timerfd stands for curl's
/// timeouts: so everything there is to wait for is one descriptor, and the Waiter can wait for it
/// together with whatever else may end the wait.
///
/// A driver belongs to one thread and one process; calls go before their driver.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "base/status.h"
#include "store/deadline.h"
#include "store/descriptor.h"
#include "store/http_call.h"
#include "store/waiter.h"

namespace vdb::store {

/// Counts the descriptors that a driver opens, where somebody keeps account of them.
class DescriptorBudget {
 public:
  virtual ~DescriptorBudget() = default;
  /// False: no more; the connection is not made.
  virtual bool Take() = 0;
  virtual void Give() = 0;
};

struct HttpOptions {
  int connect_timeout_ms = 5000;
  int stall_timeout_ms = 20'000;  // and up to six seconds more: curl averages
  int max_connections = 16;       // open at a time, kept ones included
  bool verify_tls = true;
  std::string ca_file;     // instead of the system's certificates
  bool allow_http = true;  // false: https only
  DescriptorBudget* descriptors = nullptr;
};

class HttpDriver {
 public:
  /// `waiter` outlives it. Errors: kResourceExhausted, kInternal.
  static Result<std::unique_ptr<HttpDriver>> Make(const HttpOptions& options, Waiter* waiter);
  HttpDriver(const HttpDriver&) = delete;
  HttpDriver& operator=(const HttpDriver&) = delete;
  ~HttpDriver();

  /// Puts a request on its way; at `deadline` it fails with kTimeout. Pump moves it.
  /// Errors: kResourceExhausted, kInternal. Whatever the server or the network does is the call's.
  Result<std::unique_ptr<HttpCall>> Start(HttpRequest request, Deadline deadline);

  /// Waits up to `timeout_ms` for something to happen, and handles what has. 0 does not wait.
  /// `what` is for the Waiter.
  /// Errors: the Waiter's, kInternal.
  Status Pump(int timeout_ms, WaitFor what = WaitFor::kAnswer);

  /// The earliest time that it makes sense to wait for is bounded by these only.
  const HttpOptions& options() const { return options_; }

 private:
  HttpDriver(const HttpOptions& options, Waiter* waiter) : options_(options), waiter_(waiter) {}
  Status Open();
  void Collect();

  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* driver, void* socket);
  static int OnTimer(CURLM* multi, long timeout_ms, void* driver);
  static curl_socket_t OnOpen(void* driver, curlsocktype purpose, curl_sockaddr* address);
  static int OnClose(void* driver, curl_socket_t fd);

  HttpOptions options_;
  Waiter* waiter_;
  Descriptor epoll_;
  Descriptor timer_;
  int budgeted_ = 0;
  bool refused_ = false;  // a descriptor, since the last Collect
  CURLM* multi_ = nullptr;
};

}  // namespace vdb::store
