/// A small HTTP server in this process: one thread a connection, a function for an answer, and the
/// faults that networks have.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace vdb::store {

struct ServerRequest {
  std::string method, target;                  // target: path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  int connection = 0;  // counted from 1
  int nth = 0;         // on its connection, from 1

  std::string Path() const { return target.substr(0, target.find('?')); }
  std::string Query() const {
    const size_t mark = target.find('?');
    return mark == std::string::npos ? "" : target.substr(mark + 1);
  }
  std::string Header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct ServerReply {
  int status = 200;
  std::vector<std::string> headers = {};
  std::string body = {};
  int delay_ms = 0;          // before the first byte
  bool reset = false;        // instead of an answer: TCP RST
  long cut_at = -1;          // close after so many bytes of the body
  long stall_at = -1;        // say nothing more after so many
  bool no_body = false;      // HEAD: the length only
  bool close_after = false;  // close the connection without having said so
};

/// What a test changes while the server's threads look at it.
template <class T>
class Shared {
 public:
  Shared& operator=(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    return *this;
  }
  /// Calls `use` with the value, alone.
  template <class Use>
  auto With(const Use& use) {
    const std::lock_guard lock(mutex_);
    return use(value_);
  }
  T Get() {
    return With([](const T& value) { return value; });
  }

 private:
  std::mutex mutex_;
  T value_{};
};

/// A function that may answer before anything else does: for faults.
class FaultHook : public Shared<std::function<std::optional<ServerReply>(const ServerRequest&)>> {
 public:
  using Shared::operator=;
  std::optional<ServerReply> Ask(const ServerRequest& request) {
    return With([&](auto& hook) { return hook ? hook(request) : std::nullopt; });
  }
};

/// The answer to a GET of `all` that may ask for a range.
inline ServerReply RangeReply(const ServerRequest& request, const std::string& all) {
  ServerReply reply;
  const std::string range = request.Header("range");
  reply.no_body = request.method == "HEAD";
  reply.body = all;
  if (range.empty()) return reply;
  size_t first = 0, last = 0;
  std::sscanf(range.c_str(), "bytes=%zu-%zu", &first, &last);
  if (first >= all.size()) return {.status = 416};
  last = std::min(last, all.size() - 1);
  reply.status = 206;
  reply.body = all.substr(first, last - first + 1);
  reply.headers.push_back("Content-Range: bytes " + std::to_string(first) + "-" +
                          std::to_string(last) + "/" + std::to_string(all.size()));
  return reply;
}

class HttpServer {
 public:
  using Handler = std::function<ServerReply(const ServerRequest&)>;

  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }

  int port() const { return port_; }
  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  void Accept() {
    for (int fd; (fd = accept(listener_, nullptr, nullptr)) >= 0;) {
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd, number = ++connections_] {
        Serve(fd, number);
        const std::lock_guard inner(mutex_);
        open_.remove(fd);
        close(fd);
      });
    }
  }

  static bool Send(int fd, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t sent = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<size_t>(sent);
    }
    return true;
  }

  void Sleep(int ms) const {
    for (; ms > 0 && !stopping_; ms -= 5) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  void Serve(int fd, int number) {
    std::string input;
    const auto receive = [&] {
      char buffer[65536];
      const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
      if (got > 0) input.append(buffer, static_cast<size_t>(got));
      return got > 0;
    };
    for (int nth = 1;; ++nth) {
      size_t end;
      while ((end = input.find("\r\n\r\n")) == std::string::npos) {
        if (!receive()) return;
      }
      ServerRequest request;
      request.connection = number;
      request.nth = nth;
      std::string head = input.substr(0, end + 2);
      input.erase(0, end + 4);
      const size_t space = head.find(' '), line = head.find("\r\n");
      request.method = head.substr(0, space);
      request.target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
      for (size_t at = line + 2; at < head.size();) {
        const size_t next = head.find("\r\n", at);
        const size_t colon = head.find(':', at);
        std::string name = head.substr(at, colon - at);
        for (char& c : name) c = static_cast<char>(tolower(c));
        size_t value = colon + 1;
        while (head[value] == ' ') ++value;
        request.headers[name] = head.substr(value, next - value);
        at = next + 2;
      }
      if (!request.Header("expect").empty() && !Send(fd, "HTTP/1.1 100 Continue\r\n\r\n")) return;
      const size_t length = std::strtoul(request.Header("content-length").c_str(), nullptr, 10);
      while (input.size() < length) {
        if (!receive()) return;
      }
      request.body = input.substr(0, length);
      input.erase(0, length);
      ++requests_;
      if (!Answer(fd, handler_(request))) return;
    }
  }

  bool Answer(int fd, const ServerReply& reply) {
    Sleep(reply.delay_ms);
    if (reply.reset) {
      // With bytes unread or this option, a close is a reset.
      const linger at_once = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
      return false;
    }
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " x\r\n";
    for (const std::string& header : reply.headers) head += header + "\r\n";
    if (reply.status != 204)
      head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    if (!Send(fd, head + "\r\n")) return false;
    if (reply.no_body) return !reply.close_after;
    if (reply.cut_at >= 0) return Send(fd, reply.body.substr(0, reply.cut_at)) && false;
    if (reply.stall_at >= 0) {
      Send(fd, reply.body.substr(0, reply.stall_at));
      Sleep(60'000);
      return false;
    }
    return Send(fd, reply.body) && !reply.close_after;
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0}, requests_{0};
  std::mutex mutex_;
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace vdb::store
