#include "store/http_driver.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <cstring>

#include "base/strcat.h"
#include "store/signals_blocked.h"

namespace vdb::store {
namespace {

/// Once in a process, and not before it is needed: a server that forks must not do it first.
Status InitCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code == CURLE_OK) return {};
  return Internal(StrCat("could not initialise libcurl: ", curl_easy_strerror(code)));
}

Status OutOfDescriptors() {
  return {Code::kResourceExhausted, "no descriptors left for connections to a store"};
}

}  // namespace

Result<std::unique_ptr<HttpDriver>> HttpDriver::Make(const HttpOptions& options, Waiter* waiter) {
  VDB_RETURN_IF_ERROR(InitCurl());
  std::unique_ptr<HttpDriver> driver(new HttpDriver(options, waiter));
  VDB_RETURN_IF_ERROR(driver->Open());
  return driver;
}

Status HttpDriver::Open() {
  for (; budgeted_ < 2; ++budgeted_) {
    if (options_.descriptors != nullptr && !options_.descriptors->Take()) return OutOfDescriptors();
  }
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  timer_ = Descriptor(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!epoll_.ok() || !timer_.ok()) return OutOfDescriptors();
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = timer_.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) != 0)
    return Internal(StrCat("could not watch a timer: ", std::strerror(errno)));
  multi_ = curl_multi_init();
  if (multi_ == nullptr) return {Code::kResourceExhausted, "out of memory"};
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &HttpDriver::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, static_cast<void*>(this));
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &HttpDriver::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, static_cast<void*>(this));
  const long connections = options_.max_connections;
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
  return {};
}

HttpDriver::~HttpDriver() {
  // Closes the connections that were kept, by OnClose.
  if (multi_ != nullptr) {
    const SignalsBlocked blocked;
    curl_multi_cleanup(multi_);
  }
  for (; budgeted_ > 0; --budgeted_) {
    if (options_.descriptors != nullptr) options_.descriptors->Give();
  }
}

Result<std::unique_ptr<HttpCall>> HttpDriver::Start(HttpRequest request, Deadline deadline) {
  std::unique_ptr<HttpCall> call(new HttpCall(std::move(request), multi_));
  VDB_RETURN_IF_ERROR(call->Prepare(options_, deadline));
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(call->easy_, option, value);
  };
  set(CURLOPT_OPENSOCKETFUNCTION, &HttpDriver::OnOpen);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(CURLOPT_CLOSESOCKETFUNCTION, &HttpDriver::OnClose);
  set(CURLOPT_CLOSESOCKETDATA, static_cast<void*>(this));
  const SignalsBlocked blocked;
  if (const CURLMcode code = curl_multi_add_handle(multi_, call->easy_); code != CURLM_OK)
    return Internal(StrCat("could not start a request: ", curl_multi_strerror(code)));
  return call;
}

Status HttpDriver::Pump(int timeout_ms, WaitFor what) {
  VDB_RETURN_IF_ERROR(waiter_->Wait(epoll_.get(), timeout_ms, what));
  constexpr int kEvents = 32;
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_.get(), events, kEvents, 0);
  const SignalsBlocked blocked;
  for (int i = 0; i < count; ++i) {
    int running;
    if (events[i].data.fd == timer_.get()) {
      uint64_t expirations;
      if (read(timer_.get(), &expirations, sizeof(expirations)) == sizeof(expirations))
        curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
      continue;
    }
    int ready = 0;
    if (events[i].events & EPOLLIN) ready |= CURL_CSELECT_IN;
    if (events[i].events & EPOLLOUT) ready |= CURL_CSELECT_OUT;
    if (events[i].events & (EPOLLERR | EPOLLHUP)) ready |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi_, events[i].data.fd, ready, &running);
  }
  Collect();
  return {};
}

void HttpDriver::Collect() {
  int left;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    void* call = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
    static_cast<HttpCall*>(call)->Finish(code, refused_);
  }
  refused_ = false;
}

int HttpDriver::OnSocket(CURL* /*easy*/, curl_socket_t fd, int what, void* driver,
                         void* /*socket*/) {
  const int epoll = static_cast<HttpDriver*>(driver)->epoll_.get();
  if (what == CURL_POLL_REMOVE) {
    // Fails where the descriptor is closed already, and so gone from the set.
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    return 0;
  }
  epoll_event event = {};
  event.data.fd = fd;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT)
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  return 0;
}

int HttpDriver::OnTimer(CURLM* /*multi*/, long timeout_ms, void* driver) {
  itimerspec when = {};
  if (timeout_ms > 0) {
    when.it_value.tv_sec = timeout_ms / 1000;
    when.it_value.tv_nsec = timeout_ms % 1000 * 1'000'000;
  } else if (timeout_ms == 0) {
    // At once; all zeros would switch it off.
    when.it_value.tv_nsec = 1;
  }
  timerfd_settime(static_cast<HttpDriver*>(driver)->timer_.get(), 0, &when, nullptr);
  return 0;
}

curl_socket_t HttpDriver::OnOpen(void* driver, curlsocktype /*purpose*/, curl_sockaddr* address) {
  auto* const self = static_cast<HttpDriver*>(driver);
  DescriptorBudget* const budget = self->options_.descriptors;
  if (budget != nullptr && !budget->Take()) {
    self->refused_ = true;
    return CURL_SOCKET_BAD;
  }
  // Programs that the server runs must not inherit a connection to a store.
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0) return fd;
  self->refused_ = errno == EMFILE || errno == ENFILE;
  if (budget != nullptr) budget->Give();
  return CURL_SOCKET_BAD;
}

int HttpDriver::OnClose(void* driver, curl_socket_t fd) {
  if (DescriptorBudget* budget = static_cast<HttpDriver*>(driver)->options_.descriptors)
    budget->Give();
  return close(fd);
}

}  // namespace vdb::store
