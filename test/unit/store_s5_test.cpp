#include "store/s5.h"

#include <gtest/gtest.h>

#include "store/json_fields.h"
#include "store/url.h"
#include "unit/store_s5_server.h"

namespace vdb::store {
namespace {

class S5Test : public testing::Test {
 protected:
  ObjectRef Put(const Bytes& bytes) {
    const ObjectRef ref = RefOf("o", bytes);
    const Status status = PutOne(s5_.store(), ref, bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    return ref;
  }
  /// The next `times` requests whose path begins with `path` are answered so.
  void FailNext(const std::string& path, ServerReply reply, int times = 1) {
    s5_.server.fault = [=, left = times](const ServerRequest& request) mutable {
      const bool fails = request.target.starts_with(path) && left > 0;
      if (fails) --left;
      return fails ? std::optional<ServerReply>(reply) : std::nullopt;
    };
  }
  static void ExpectNoToken(const Status& status) {
    EXPECT_EQ((status.message() + status.detail() + status.hint()).find("to/ken"),
              std::string::npos)
        << status.message();
  }

  S5Fixture s5_;
  const Bytes bytes_ = RandomBytes(1, 300'000);
};

TEST_F(S5Test, SaysItsVersion) {
  EXPECT_EQ(s5_.s5().Version(Soon()).value(), "1.0.0-pre.1");
  FailNext("/s5/version", {.body = "<html>"});
  EXPECT_EQ(s5_.s5().Version(Soon()).status().code(), Code::kUnavailable);
}

TEST_F(S5Test, SaysWhatItWaitsFor) {
  auto& waits = s5_.waiter.waits_for;
  EXPECT_TRUE(s5_.s5().Version(Soon()).ok());
  EXPECT_GT(waits[WaitFor::kAnswer], 0u);
  EXPECT_EQ(waits[WaitFor::kUpload] + waits[WaitFor::kRead] + waits[WaitFor::kRetry], 0u);
  const ObjectRef ref = Put(bytes_);
  EXPECT_GT(waits[WaitFor::kUpload], 0u);
  EXPECT_EQ(waits[WaitFor::kRead] + waits[WaitFor::kRetry], 0u);
  ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
  EXPECT_GT(waits[WaitFor::kRead], 0u);
  EXPECT_EQ(waits[WaitFor::kRetry], 0u);
  FailNext("/", {.status = 503});
  ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
  const uint64_t retries = waits[WaitFor::kRetry];
  EXPECT_GT(retries, 0u);
  FailNext("/s5/version", {.status = 503});
  ASSERT_TRUE(s5_.s5().Version(Soon()).ok());
  EXPECT_GT(waits[WaitFor::kRetry], retries);
}

TEST_F(S5Test, AnotherCidIsAnotherObject) {
  const std::string other = CidOf(RefOf("", RandomBytes(2, 10)));
  for (const std::string& body :
       {"{\"cid\":\"" + other + "\"}", std::string("{\"cid\":\"z123\"}"), std::string("{}")}) {
    FailNext("/s5/upload", {.body = body});
    EXPECT_EQ(PutOne(s5_.store(), RefOf("o", bytes_), bytes_).code(), Code::kCorruption) << body;
  }
  FailNext("/s5/upload", {.body = "no"});
  EXPECT_EQ(PutOne(s5_.store(), RefOf("o", bytes_), bytes_).code(), Code::kUnavailable);
}

TEST_F(S5Test, LargeObjectsGoInPiecesThatSurviveALostReply) {
  const Bytes large = RandomBytes(2, 5'000'000);
  bool lost = false;
  s5_.server.fault = [&](const ServerRequest& request) -> std::optional<ServerReply> {
    // The first piece arrives, but its answer does not: the next try finds another offset.
    if (request.method != "PATCH" || request.Header("upload-offset") != "0" || lost)
      return std::nullopt;
    lost = true;
    return ServerReply{.status = 500, .body = "Invalid offset"};
  };
  EXPECT_TRUE(ReadAll(s5_.store(), Put(large)).value() == large);
  EXPECT_EQ(s5_.server.pieces, 3);
  EXPECT_EQ(s5_.server.pins, 0);
  Put(large);
  EXPECT_EQ(s5_.server.pieces, 3) << "the node had it";
  EXPECT_EQ(s5_.server.pins, 1) << "and is to keep it for us";
}

TEST_F(S5Test, UploadsInPiecesThatTheNodeHasForgottenBeginAgain) {
  const Bytes large = RandomBytes(2, 5'000'000);
  const ServerReply invalid{.status = 500, .body = "Invalid offset"};
  const ServerReply missing{.status = 404, .no_body = true};
  // It has forgotten it; has, when it is asked how much is there; says that all is.
  const std::vector<std::pair<ServerReply, std::optional<ServerReply>>> faults = {
      {missing, std::nullopt},
      {invalid, missing},
      {invalid, ServerReply{.headers = {"Upload-Offset: 5000000"}, .no_body = true}}};
  for (const auto& [patch, head] : faults) {
    const Bytes bytes = RandomBytes(3 + s5_.server.pieces, 5'000'000);
    bool patched = false, asked = false;
    int made = 0;
    const int pieces = s5_.server.pieces;
    s5_.server.fault = [&, patch = patch,
                        head = head](const ServerRequest& request) -> std::optional<ServerReply> {
      if (request.method == "POST" && request.Path() == "/s5/upload/tus") ++made;
      const bool second = request.Header("upload-offset") == "2000000";
      if (request.method == "PATCH" && second && !std::exchange(patched, true)) return patch;
      if (request.method == "HEAD" && head.has_value() && !std::exchange(asked, true)) return head;
      return std::nullopt;
    };
    EXPECT_TRUE(ReadAll(s5_.store(), Put(bytes)).value() == bytes);
    EXPECT_EQ(made, 2);
    EXPECT_EQ(s5_.server.pieces - pieces, 1 + 3) << "all of it once more";
  }
  EXPECT_EQ(s5_.server.pins, 0);
  // But not for ever.
  s5_.server.fault = [&](const ServerRequest& request) -> std::optional<ServerReply> {
    return request.method == "PATCH" ? std::optional(missing) : std::nullopt;
  };
  EXPECT_EQ(PutOne(s5_.store(), RefOf("o", large), large).code(), Code::kNotFound);
}

TEST_F(S5Test, PiecesGoNowhereElse) {
  FailNext("/s5/upload/tus", {.status = 201, .headers = {"Location: http://127.0.0.2:1/x"}});
  const Bytes large = RandomBytes(2, 5'000'000);
  const Status status = PutOne(s5_.store(), RefOf("o", large), large);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("elsewhere"), std::string::npos);
}

TEST_F(S5Test, PinsWhenAskedTo) {
  s5_.options.pin = true;
  Put(bytes_);
  EXPECT_EQ(s5_.server.pins, 1);
  FailNext("/s5/pin/", {.status = 403}, 10);
  EXPECT_EQ(PutOne(s5_.store(), RefOf("o", bytes_), bytes_).code(), Code::kPermission);
}

TEST_F(S5Test, RedirectsToAnotherHostLoseTheToken) {
  s5_.options.redirect = true;
  bool token_seen = false;
  const std::string all(bytes_.begin(), bytes_.end());
  HttpServer storage([&](const ServerRequest& request) {
    token_seen = token_seen || !request.Header("authorization").empty();
    return RangeReply(request, all);
  });
  s5_.server.storage = storage.Url();
  const ObjectRef ref = Put(bytes_);
  EXPECT_TRUE(ReadAll(s5_.store(), ref).value() == bytes_);
  EXPECT_EQ(storage.requests(), 1);
  EXPECT_FALSE(token_seen);
}

TEST_F(S5Test, RedirectsAreRemembered) {
  s5_.options.redirect = true;
  const std::string all(bytes_.begin(), bytes_.end());
  const std::vector<ServerReply> refusals = {
      {.status = 403}, {.status = 404}, {.status = 503}, {.body = "another"}};
  std::atomic<int> refusal = -1;  // of the next request
  std::atomic<bool> token_seen = false;
  HttpServer storage([&](const ServerRequest& request) {
    if (!request.Header("authorization").empty()) token_seen = true;
    const int which = refusal.exchange(-1);
    return which < 0 ? RangeReply(request, all) : refusals[static_cast<size_t>(which)];
  });
  s5_.server.storage = storage.Url();
  const ObjectRef ref = Put(bytes_);
  ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
  const int asked = s5_.server.requests();
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(ReadAll(s5_.store(), ref).value() == bytes_);
    EXPECT_EQ(storage.requests(), 1 + i);
  }
  EXPECT_EQ(s5_.server.requests(), asked) << "nobody asked the node";
  // What goes wrong there has the node asked again, without a wait.
  const uint64_t retries = s5_.state->retries;
  int hops = asked;
  for (int i = 0; i < static_cast<int>(refusals.size()); ++i) {
    refusal = i;
    EXPECT_TRUE(ReadAll(s5_.store(), ref).value() == bytes_) << i;
    EXPECT_EQ(refusal, -1) << "was given";
    EXPECT_EQ(s5_.server.requests(), ++hops);
    EXPECT_TRUE(ReadAll(s5_.store(), ref).value() == bytes_);
    EXPECT_EQ(s5_.server.requests(), hops) << "remembered anew";
  }
  EXPECT_EQ(s5_.state->retries, retries);
  EXPECT_FALSE(token_seen);
  // What was removed is not read from there any more.
  EXPECT_TRUE(s5_.store().Remove(ref, Soon()).ok());
  EXPECT_EQ(ReadAll(s5_.store(), ref).status().code(), Code::kNotFound);
}

/// Where the bytes of a portal's only object are, which answers wrongly when it is told to.
class Elsewhere {
 public:
  Elsewhere(const Bytes& bytes, S5Fixture* s5) : all_(bytes.begin(), bytes.end()) {
    s5->options.redirect = true;
    s5->server.storage = server_.Url();
  }
  Shared<std::optional<ServerReply>> wrong;  // every answer, until it is reset
  int requests() const { return server_.requests(); }

 private:
  const std::string all_;
  HttpServer server_{[this](const ServerRequest& request) {
    return wrong.Get().value_or(RangeReply(request, all_));
  }};
};

TEST_F(S5Test, WhatIsWrongWithARememberedPlaceHasTheNodeAsked) {
  Elsewhere elsewhere(bytes_, &s5_);
  const ObjectRef ref = Put(bytes_);
  const ServerReply stalls = {.body = std::string(10, 'x'), .stall_at = 0};
  const ServerReply circles = {.status = 307, .headers = {"Location: /storage/x"}};
  const ServerReply leads_nowhere = {.status = 307, .headers = {"Location: file:///etc/passwd"}};
  for (const ServerReply& wrong : {stalls, circles, leads_nowhere}) {
    ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
    // The node says that they are with itself by now.
    s5_.server.fault = [&](const ServerRequest& request) -> std::optional<ServerReply> {
      if (!request.target.starts_with("/s5/blob/")) return std::nullopt;
      return ServerReply{.status = 307, .headers = {"Location: /" + CidOf(ref)}};
    };
    elsewhere.wrong = wrong;
    Bytes bytes(ref.size);
    const Status read = GetRange(s5_.store(), {&ref, 0, bytes}, Deadline::After(3000));
    EXPECT_TRUE(read.ok() && bytes == bytes_) << read.message();
    EXPECT_EQ(s5_.state->breaker.state(MonotonicMs()), Breaker::State::kClosed);
    // Forgets that, too.
    s5_.server.fault = nullptr;
    elsewhere.wrong = std::nullopt;
    FailNext("/" + CidOf(ref), {.status = 404});
    ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
  }
}

TEST_F(S5Test, OnlyTheNodeItselfIsHeldAgainstTheNode) {
  Elsewhere elsewhere(bytes_, &s5_);
  const ObjectRef ref = Put(bytes_), unknown = RefOf("o", RandomBytes(2, 100));
  ASSERT_TRUE(ReadAll(s5_.store(), ref).ok());
  // A node that is away keeps nobody from bytes that are elsewhere, which do not bring it back.
  Breaker& breaker = s5_.state->breaker;
  const int asked = s5_.server.requests();
  FailNext("/", {.status = 503}, 1000);
  breaker.Failed(MonotonicMs());
  EXPECT_TRUE(ReadAll(s5_.store(), ref).ok());
  EXPECT_EQ(breaker.state(MonotonicMs()), Breaker::State::kOpen);
  EXPECT_EQ(s5_.server.requests(), asked);
  EXPECT_EQ(ReadAll(s5_.store(), unknown).status().code(), Code::kUnavailable);
  // Without them, it is the node that fails.
  breaker.Answered(MonotonicMs());
  elsewhere.wrong = ServerReply{.reset = true};
  const Status away = ReadAll(s5_.store(), ref).status();
  EXPECT_NE(away.message().find("cannot answer now (HTTP 503)"), std::string::npos);
  // A node that answers is not away when the place that it names is.
  s5_.server.fault = nullptr;
  breaker.Answered(MonotonicMs());
  Bytes bytes(ref.size);
  elsewhere.wrong = ServerReply{.body = std::string(10, 'x'), .stall_at = 0};
  const Status slow = GetRange(s5_.store(), {&ref, 0, bytes}, Deadline::After(1500));
  EXPECT_EQ(slow.code(), Code::kUnavailable);
  EXPECT_EQ(breaker.state(MonotonicMs()), Breaker::State::kClosed);
}

TEST(Redirects, AreKeptForAWhile) {
  Redirects redirects;
  const ObjectRef ref = RefOf("o", RandomBytes(1, 10));
  EXPECT_EQ(redirects.Find(ref, 0), nullptr);
  redirects.Remember(ref, {"https://a/b", true}, 1000);
  ASSERT_NE(redirects.Find(ref, 1000 + kLocationMs - 1), nullptr);
  EXPECT_EQ(redirects.Find(ref, 2000)->url, "https://a/b");
  EXPECT_TRUE(redirects.Find(ref, 2000)->other_host);
  EXPECT_EQ(redirects.Find(ref, 1000 + kLocationMs), nullptr);
  EXPECT_EQ(redirects.Find(ref, 1000), nullptr) << "it is gone";
  redirects.Remember(ref, {"https://a/c", false}, 1000);
  redirects.Forget(ref);
  EXPECT_EQ(redirects.Find(ref, 1000), nullptr);
  // As many as fit, whatever comes.
  size_t found = 0;
  for (size_t i = 0; i < 3 * kMostLocations; ++i) {
    redirects.Remember(RefOf("o", RandomBytes(i, 10)), {"https://a/b", true}, 0);
  }
  for (size_t i = 0; i < 3 * kMostLocations; ++i) {
    found += redirects.Find(RefOf("o", RandomBytes(i, 10)), 0) != nullptr ? 1 : 0;
  }
  EXPECT_LE(found, kMostLocations);
}

TEST_F(S5Test, RedirectsOnTheSameHostKeepTheToken) {
  const ObjectRef ref = Put(bytes_);
  s5_.options.redirect = true;
  FailNext("/s5/blob/", {.status = 302, .headers = {"Location: ../../" + CidOf(ref)}});
  EXPECT_TRUE(ReadAll(s5_.store(), ref).value() == bytes_);
}

TEST_F(S5Test, RedirectsEnd) {
  s5_.options.redirect = true;
  const ObjectRef ref = Put(bytes_);
  for (const std::string location :
       {"/s5/blob/x", "", "file:///etc/passwd", "http://user:pw@127.0.0.1/"}) {
    FailNext("/s5/blob/", {.status = 307, .headers = {"Location: " + location}}, 100);
    const int before = s5_.server.requests();
    const Status status = ReadAll(s5_.store(), ref).status();
    EXPECT_EQ(status.code(), Code::kUnavailable) << location;
    EXPECT_LE(s5_.server.requests() - before, 7);
    ExpectNoToken(status);
  }
}

TEST_F(S5Test, ANodeThatDeletesNothingSaysSo) {
  const ObjectRef ref = Put(bytes_);
  s5_.server.allow_delete = false;
  EXPECT_EQ(s5_.store().Remove(ref, Soon()).value(), Removal::kDisabled);
  FailNext("/s5/delete/", {.status = 401, .body = "Unauthorized"});
  EXPECT_EQ(s5_.store().Remove(ref, Soon()).status().code(), Code::kPermission);
  EXPECT_TRUE(ReadAll(s5_.store(), ref).ok());
}

TEST_F(S5Test, ANodeThatDoesNotAnswerIsNotAskedForAll) {
  s5_.options.store.http.max_connections = 2;
  std::vector<ObjectRef> refs;
  for (int i = 0; i < 20; ++i) refs.push_back(RefOf("o", RandomBytes(i, 10)));
  FailNext("/s5/delete/", {.status = 503}, 1000);
  const int before = s5_.server.requests();
  std::vector<int> told(refs.size());
  const auto removed = [&](size_t i, const Result<Removal>& removal) {
    ++told[i];
    EXPECT_EQ(removal.status().code(), Code::kUnavailable);
  };
  EXPECT_TRUE(s5_.store().RemoveAll(refs, removed, 10'000).ok());
  EXPECT_EQ(told, std::vector<int>(refs.size(), 1));
  EXPECT_LE(s5_.server.requests() - before, 2 * 4) << "two under way, three retries";
}

TEST_F(S5Test, OneThatIsRefusedDoesNotKeepTheOthers) {
  s5_.options.store.http.max_connections = 1;
  for (const int status : {403, 409}) {
    std::vector<ObjectRef> refs;
    for (int i = 0; i < 10; ++i) refs.push_back(Put(RandomBytes(i, 10)));
    FailNext("/s5/delete/" + CidOf(refs[0]), {.status = status});
    std::vector<bool> gone;
    const auto removed = [&](size_t, const Result<Removal>& removal) {
      gone.push_back(removal.ok());
    };
    EXPECT_TRUE(s5_.store().RemoveAll(refs, removed, 10'000).ok());
    std::vector<bool> expected(refs.size(), true);
    expected[0] = false;
    EXPECT_EQ(gone, expected) << status;
  }
}

TEST_F(S5Test, WhatTheNodeMeansByItsErrors) {
  const ObjectRef ref = Put(bytes_);
  const std::pair<const char*, Code> errors[] = {
      {"FileSystemException: writeFrom failed (OS Error: No space left on device, errno = 28)",
       Code::kDiskFull},
      {"This API only supports a maximum size of 34000000 bytes", Code::kUnsupported}};
  for (const auto& [text, code] : errors) {
    FailNext("/s5/upload", {.status = 500, .body = text});
    EXPECT_EQ(PutOne(s5_.store(), ref, bytes_).code(), code) << text;
  }
  s5_.options.auth_token = "wrong";
  s5_.server.fault = nullptr;
  S5Fixture other;
  other.options.url = s5_.server.Url();
  other.options.auth_token = "another-to/ken";
  const Status denied = ReadAll(other.store(), ref).status();
  EXPECT_EQ(denied.code(), Code::kPermission);
  ExpectNoToken(denied);
}

TEST_F(S5Test, ForgedEntriesAreNoticed) {
  ASSERT_TRUE(s5_.store().WriteRecord("r", Bytes{1, 2, 3}, std::nullopt, Soon()).ok());
  std::string& entry = s5_.server.registry().begin()->second;
  const std::string genuine = entry;
  for (const auto& [from, to] : {std::pair("\"revision\":1", "\"revision\":2"),
                                 std::pair("\"data\":\"AQID\"", "\"data\":\"AQIE\""),
                                 std::pair("\"pk\":\"7", "\"pk\":\"8"), std::pair("{", "[")}) {
    entry = genuine;
    const size_t at = entry.find(from);
    ASSERT_NE(at, std::string::npos) << from << entry;
    entry.replace(at, std::string(from).size(), to);
    EXPECT_EQ(s5_.store().ReadRecord("r", Soon()).status().code(), Code::kCorruption) << from;
  }
  entry = genuine;
  EXPECT_EQ(s5_.store().ReadRecord("r", Soon()).value()->revision, "1");
}

TEST_F(S5Test, AnEntryWhoseReplyWasLostIsRecognised) {
  bool written = false;
  const auto twice = [&](const Bytes& value) {
    written = false;
    // Refuses the entry that it takes.
    s5_.server.fault = [&](const ServerRequest& request) -> std::optional<ServerReply> {
      if (request.method != "POST" || written) return std::nullopt;
      written = true;
      s5_.server.registry()[nlohmann::json::parse(request.body)["pk"]] = request.body;
      return ServerReply{.reset = true};
    };
    return s5_.store().WriteRecord("r", value, std::nullopt, Soon());
  };
  EXPECT_EQ(twice({1}).value(), "1");
}

TEST_F(S5Test, WithoutKeysThereAreNoRecords) {
  s5_.options.keys = nullptr;
  EXPECT_FALSE(s5_.store().capabilities().records);
  EXPECT_EQ(s5_.store().ReadRecord("r", Soon()).status().code(), Code::kUnsupported);
}

TEST(S5Options, AreChecked) {
  StoreState state = {};
  PollWaiter waiter;
  const auto code = [&](const char* url, const char* token) {
    S5Options options;
    options.store = {"s5", {}, &waiter, &state, 0};
    options.url = url;
    options.auth_token = token;
    const auto made = S5Store::Make(options);
    EXPECT_EQ(made.status().message().find("to\nken"), std::string::npos);
    return made.status().code();
  };
  EXPECT_EQ(code("https://s5.example.com/node/", "token"), Code::kOk);
  EXPECT_EQ(code("https://s5.example.com", ""), Code::kOk);
  EXPECT_EQ(code("s5.example.com:x", ""), Code::kInvalidArgument);
  EXPECT_EQ(code("https://s5.example.com", "to\nken"), Code::kInvalidArgument);
  EXPECT_EQ(code("https://s5.example.com", "to\r\nX: y"), Code::kInvalidArgument);
}

TEST(Url, Origins) {
  EXPECT_TRUE(SameOrigin("https://a/x", "https://A:443/y?z"));
  EXPECT_FALSE(SameOrigin("https://a/x", "http://a/x"));
  EXPECT_FALSE(SameOrigin("https://a/x", "https://a:444/x"));
  EXPECT_FALSE(SameOrigin("https://a/x", "https://b/x"));
  EXPECT_EQ(ResolveUrl("https://a/b/c", "../d").value(), "https://a/d");
  EXPECT_EQ(ResolveUrl("https://a/b/c", "//e/f").value(), "https://e/f");
  EXPECT_FALSE(ResolveUrl("https://a/", "ftp://a/").ok());
  EXPECT_EQ(EscapeQuery("a b/+=~\xc3"), "a%20b%2F%2B%3D~%C3");
}

TEST(JsonFields, FlatObjects) {
  const auto fields = ReadJsonFields(" {\"a\" : \"b\\\"\\\\\\/\", \"c\":17,\"d\":true } ");
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ(fields.value(),
            (std::map<std::string, std::string>{{"a", "b\"\\/"}, {"c", "17"}, {"d", "true"}}));
  EXPECT_TRUE(ReadJsonFields("{}").ok());
  for (const char* bad :
       {"", "[]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":{}}", "{\"a\":[1]}",
        "{\"a\":\"\\u0041\"}", "{\"a\":1}x", "{a:1}", "{\"a\":\"b", "{\"a\":x}"})
    EXPECT_FALSE(ReadJsonFields(bad).ok()) << bad;
}

}  // namespace
}  // namespace vdb::store
