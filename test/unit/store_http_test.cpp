#include "store/http_driver.h"

#include <gtest/gtest.h>

#include "base/strcat.h"
#include "unit/store_fixtures.h"
#include "unit/store_http_server.h"

namespace vdb::store {
namespace {

class HttpTest : public testing::Test {
 protected:
  /// A driver of its own, and one request to its end.
  std::unique_ptr<HttpCall> Run(HttpRequest request, int timeout_ms = 10'000) {
    if (driver_ == nullptr) {
      auto driver = HttpDriver::Make(options_, &waiter_);
      EXPECT_TRUE(driver.ok());
      driver_ = std::move(driver).value();
    }
    auto call = driver_->Start(std::move(request), Deadline::After(timeout_ms));
    EXPECT_TRUE(call.ok()) << call.status().message();
    const Deadline patience = Deadline::After(30'000);
    while (!call.value()->done() && !patience.Expired()) EXPECT_TRUE(driver_->Pump(1000).ok());
    EXPECT_TRUE(call.value()->done());
    return std::move(call).value();
  }

  HttpRequest Range(const HttpServer& server, uint64_t offset, size_t bytes) {
    target_.assign(bytes, 0);
    HttpRequest request;
    request.url = server.Url() + "/o";
    request.range = WantedRange{offset, target_, all_.size()};
    return request;
  }
  bool TargetIs(uint64_t offset) const {
    return std::equal(target_.begin(), target_.end(), all_.begin() + static_cast<long>(offset),
                      [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
  }

  static std::string AllBytes() {
    const Bytes bytes = RandomBytes(1, 1'000'000);
    return {bytes.begin(), bytes.end()};
  }

  const std::string all_ = AllBytes();
  Bytes target_;
  CancelWaiter waiter_;
  HttpOptions options_;
  std::unique_ptr<HttpDriver> driver_;
};

TEST_F(HttpTest, RequestAndReply) {
  HttpServer server([](const ServerRequest& request) {
    EXPECT_EQ(request.method, "PUT");
    EXPECT_EQ(request.target, "/a?b=c");
    EXPECT_EQ(request.Header("x-one"), "1");
    EXPECT_EQ(request.Header("authorization"), "Bearer secret");
    EXPECT_EQ(request.Header("expect"), "");
    return ServerReply{
        .status = 201, .headers = {"ETag:  \"x\"", "X-Two: 2"}, .body = request.body};
  });
  const std::string token = "secret";
  const Bytes body = {'b', 'c'};
  HttpRequest request;
  request.method = "PUT";
  request.url = server.Url() + "/a?b=c";
  request.headers = {"X-One: 1"};
  request.bearer_token = &token;
  request.has_body = true;
  request.body_head = "a";
  request.body = body;
  request.body_tail = "d";
  const auto call = Run(request);
  EXPECT_EQ(call->error(), HttpError::kNone) << call->error_detail();
  EXPECT_EQ(call->reply().status, 201);
  EXPECT_EQ(call->reply().body, "abcd");
  EXPECT_EQ(call->reply().Header("etag"), "\"x\"");
  EXPECT_EQ(call->reply().Header("x-two"), "2");
  EXPECT_EQ(call->reply().Header("none"), "");
}

TEST_F(HttpTest, LargeBodiesGoInOneOrSeveralPieces) {
  HttpServer server([](const ServerRequest& request) {
    return ServerReply{.body = std::to_string(request.body.size()) + request.body.substr(0, 2)};
  });
  const Bytes body(3'000'000, 'x');
  HttpRequest request;
  request.method = "POST";
  request.url = server.Url();
  request.has_body = true;
  request.body = body;
  EXPECT_EQ(Run(request)->reply().body, "3000000xx");
  request.body_head = "-";
  EXPECT_EQ(Run(request)->reply().body, "3000001-x");
  request.body = {};
  request.body_head = "";
  EXPECT_EQ(Run(request)->reply().body, "0");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpTest, HeadHasALengthAndNoBody) {
  HttpServer server([&](const ServerRequest& request) { return RangeReply(request, all_); });
  HttpRequest request;
  request.method = "HEAD";
  request.url = server.Url();
  const auto call = Run(request);
  EXPECT_EQ(call->error(), HttpError::kNone);
  EXPECT_EQ(call->reply().Header("content-length"), "1000000");
}

TEST_F(HttpTest, RangesOfEveryKindOfAnswer) {
  bool ignore_range = false;
  HttpServer server([&](const ServerRequest& request) {
    return ignore_range ? ServerReply{.body = all_} : RangeReply(request, all_);
  });
  for (const bool ignored : {false, true}) {
    ignore_range = ignored;
    for (const auto& [offset, bytes] : std::vector<std::pair<uint64_t, size_t>>{
             {0, 1}, {0, 1'000'000}, {999'999, 1}, {500'000, 16'400}, {990'000, 5000}}) {
      const auto call = Run(Range(server, offset, bytes));
      EXPECT_EQ(call->error(), HttpError::kNone) << call->error_detail();
      EXPECT_TRUE(TargetIs(offset)) << offset;
      EXPECT_EQ(call->reply().status, ignored ? 200 : 206);
    }
  }
}

TEST_F(HttpTest, WrongRangesAreNoticed) {
  Shared<ServerReply> reply;
  HttpServer server([&](const ServerRequest&) { return reply.Get(); });
  const auto error = [&](int status, std::vector<std::string> headers, size_t bytes) {
    reply = ServerReply{
        .status = status, .headers = std::move(headers), .body = std::string(bytes, 'x')};
    return Run(Range(server, 100, 50))->error();
  };
  EXPECT_EQ(error(206, {"Content-Range: bytes 100-149/1000000"}, 50), HttpError::kNone);
  EXPECT_EQ(error(206, {"Content-Range: bytes 100-149/*"}, 50), HttpError::kNone);
  EXPECT_EQ(error(206, {"Content-Range: bytes 90-160/1000000"}, 71), HttpError::kNone);
  EXPECT_EQ(error(206, {"Content-Range: bytes 90-160/1000000"}, 72), HttpError::kWrongRange);
  EXPECT_EQ(error(206, {"Content-Range: bytes 90-1000000/*"}, 72), HttpError::kWrongRange);
  for (const char* range :
       {"bytes 101-150/1000000", "bytes 100-148/1000000", "bytes 100-149/999999", "bytes 100-149",
        "items 100-149/1000000", "bytes 100-149/1000000x", "bytes -100-149/1000000",
        "bytes */1000000", "", "bytes 99999999999999999999-1/2"}) {
    EXPECT_EQ(error(206, {std::string("Content-Range: ") + range}, 50), HttpError::kWrongRange)
        << range;
  }
  EXPECT_EQ(error(206, {}, 50), HttpError::kWrongRange);
  EXPECT_EQ(error(206, {"Content-Range: bytes 100-149/1000000"}, 51), HttpError::kWrongRange);
  EXPECT_EQ(error(206, {"Content-Range: bytes 100-149/1000000"}, 49), HttpError::kReset);
  EXPECT_EQ(error(206, {"Content-Range: bytes 100-149/1000000"}, 0), HttpError::kReset);
  EXPECT_EQ(error(200, {}, 999'999), HttpError::kWrongRange);
  EXPECT_EQ(error(200, {}, 1'000'001), HttpError::kWrongRange);
  EXPECT_EQ(error(200, {}, 0), HttpError::kWrongRange);
  // Successes that bring no bytes.
  for (const int status : {201, 202, 203, 204, 207})
    EXPECT_EQ(error(status, {}, 0), HttpError::kWrongRange) << status;
}

TEST_F(HttpTest, RefusalsKeepTheirFirstWords) {
  HttpServer server([](const ServerRequest&) {
    return ServerReply{
        .status = 503, .headers = {"Retry-After: 1"}, .body = std::string(1 << 20, 'e')};
  });
  const auto call = Run(Range(server, 0, 10));
  EXPECT_EQ(call->error(), HttpError::kNone);
  EXPECT_EQ(call->reply().status, 503);
  EXPECT_EQ(call->reply().body.size(), 4096u);
}

TEST_F(HttpTest, LongRepliesAreAnError) {
  HttpServer server(
      [](const ServerRequest&) { return ServerReply{.body = std::string(5000, 'e')}; });
  HttpRequest request;
  request.url = server.Url();
  request.max_reply_bytes = 4999;
  EXPECT_EQ(Run(request)->error(), HttpError::kTooLarge);
  request.max_reply_bytes = 5000;
  EXPECT_EQ(Run(request)->error(), HttpError::kNone);
}

TEST_F(HttpTest, ConnectionsAreKept) {
  HttpServer server([](const ServerRequest&) { return ServerReply{}; });
  HttpRequest request;
  request.url = server.Url();
  EXPECT_FALSE(Run(request)->reused_connection());
  EXPECT_TRUE(Run(request)->reused_connection());
  EXPECT_EQ(server.connections(), 1);
  request.fresh_connection = true;
  EXPECT_FALSE(Run(request)->reused_connection());
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(HttpTest, RedirectsAreNotFollowed) {
  HttpServer server([](const ServerRequest&) {
    return ServerReply{.status = 307, .headers = {"Location: /elsewhere"}};
  });
  HttpRequest request;
  request.url = server.Url();
  EXPECT_EQ(Run(request)->reply().status, 307);
  EXPECT_EQ(server.requests(), 1);
}

TEST_F(HttpTest, WhatNetworksDo) {
  Shared<ServerReply> reply;
  HttpServer server([&](const ServerRequest&) { return reply.Get(); });
  reply = ServerReply{.reset = true};
  EXPECT_EQ(Run(Range(server, 0, 10))->error(), HttpError::kReset);
  reply = ServerReply{.body = all_, .cut_at = 5};
  EXPECT_EQ(Run(Range(server, 0, 10))->error(), HttpError::kReset);
  reply = ServerReply{.body = all_, .stall_at = 5};
  const Deadline two_seconds = Deadline::After(2000);
  EXPECT_EQ(Run(Range(server, 0, 10), 100)->error(), HttpError::kTimeout);
  EXPECT_FALSE(two_seconds.Expired());
  reply = ServerReply{.delay_ms = 5000};
  EXPECT_EQ(Run(Range(server, 0, 10), 100)->error(), HttpError::kTimeout);
  EXPECT_FALSE(two_seconds.Expired());

  HttpRequest request;
  request.url = "http://127.0.0.1:1/";
  EXPECT_EQ(Run(request)->error(), HttpError::kConnect);
  request.url = "http://no-such-host.invalid/";
  EXPECT_EQ(Run(request)->error(), HttpError::kResolve);
}

TEST_F(HttpTest, StallsEndBeforeTheDeadline) {
  options_.stall_timeout_ms = 1000;
  HttpServer server([&](const ServerRequest&) { return ServerReply{.body = all_, .stall_at = 5}; });
  const Deadline patience = Deadline::After(15'000);
  EXPECT_EQ(Run(Range(server, 0, 10), 60'000)->error(), HttpError::kTimeout);
  EXPECT_FALSE(patience.Expired());
}

TEST_F(HttpTest, OnlyTheProtocolsAllowed) {
  HttpServer server([](const ServerRequest&) { return ServerReply{}; });
  HttpRequest request;
  request.url = "file:///etc/passwd";
  EXPECT_EQ(Run(request)->error(), HttpError::kOther);
  driver_.reset();
  options_.allow_http = false;
  request.url = server.Url();
  EXPECT_EQ(Run(request)->error(), HttpError::kOther);
  EXPECT_EQ(server.requests(), 0);
}

class Budget : public DescriptorBudget {
 public:
  int taken = 0, limit = 100;
  bool Take() override { return taken < limit && ++taken > 0; }
  void Give() override { --taken; }
};

TEST_F(HttpTest, CancelsLeaveNothingBehind) {
  Budget budget;
  options_.descriptors = &budget;
  HttpServer server([](const ServerRequest&) { return ServerReply{.delay_ms = 5000}; });
  HttpRequest request;
  request.url = server.Url();
  auto driver = HttpDriver::Make(options_, &waiter_).value().get();
  EXPECT_NE(driver, nullptr);
  EXPECT_EQ(budget.taken, 0) << "a driver gives back what it took";
  {
    auto made = HttpDriver::Make(options_, &waiter_);
    auto call = made.value()->Start(request, Soon());
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(made.value()->Pump(10).ok());
    EXPECT_EQ(budget.taken, 3);
    waiter_.cancelled = true;
    EXPECT_EQ(made.value()->Pump(1000).code(), Code::kCancelled);
    EXPECT_FALSE(call.value()->done());
    call.value().reset();
  }
  EXPECT_EQ(budget.taken, 0);
  waiter_.cancelled = false;
  budget.limit = 2;
  EXPECT_EQ(Run(request)->error(), HttpError::kDescriptors) << "not the server's fault";
  budget.limit = 1;
  EXPECT_EQ(HttpDriver::Make(options_, &waiter_).status().code(), Code::kResourceExhausted);
  driver_.reset();
  EXPECT_EQ(HttpDriver::Make(options_, &waiter_).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(budget.taken, 0);
}

TEST_F(HttpTest, ManyAtATime) {
  options_.max_connections = 4;
  HttpServer server([&](const ServerRequest& request) {
    ServerReply reply = RangeReply(request, all_);
    reply.delay_ms = 10;
    return reply;
  });
  auto driver = HttpDriver::Make(options_, &waiter_);
  std::vector<Bytes> targets(40, Bytes(1000));
  std::vector<std::unique_ptr<HttpCall>> calls;
  for (size_t i = 0; i < targets.size(); ++i) {
    HttpRequest request;
    request.url = server.Url();
    request.range = WantedRange{i * 1000, targets[i], all_.size()};
    calls.push_back(driver.value()->Start(request, Soon()).value());
  }
  const auto all_done = [&] {
    return std::all_of(calls.begin(), calls.end(), [](const auto& call) { return call->done(); });
  };
  while (!all_done()) ASSERT_TRUE(driver.value()->Pump(1000).ok());
  for (size_t i = 0; i < targets.size(); ++i) {
    EXPECT_EQ(calls[i]->error(), HttpError::kNone);
    EXPECT_EQ(std::string(targets[i].begin(), targets[i].end()), all_.substr(i * 1000, 1000));
  }
  EXPECT_LE(server.connections(), 4);
  calls.clear();
}

}  // namespace
}  // namespace vdb::store
