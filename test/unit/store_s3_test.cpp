#include "store/s3.h"

#include <gtest/gtest.h>

#include "store/xml.h"
#include "unit/store_s3_server.h"

namespace vdb::store {
namespace {

class S3Test : public testing::Test {
 protected:
  ObjectRef Put(const std::string& name, const Bytes& bytes) {
    const ObjectRef ref = RefOf(name, bytes);
    const Status status = PutOne(s3_.store(), ref, bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    return ref;
  }
  /// The next `times` requests that `method` makes are answered so.
  void FailNext(const std::string& method, ServerReply reply, int times = 1) {
    s3_.server.fault = [=, left = times](const ServerRequest& request) mutable {
      const bool fails = request.method == method && left > 0;
      if (fails) --left;
      return fails ? std::optional<ServerReply>(reply) : std::nullopt;
    };
  }
  void ExpectNoSecret(const Status& status) {
    for (const std::string& text : {status.message(), status.detail(), status.hint()}) {
      EXPECT_EQ(text.find("cret"), std::string::npos) << text;
      EXPECT_EQ(text.find("AKID"), std::string::npos) << text;
      EXPECT_EQ(text.find("ignature="), std::string::npos) << text;
    }
  }

  S3Fixture s3_;
  const Bytes bytes_ = RandomBytes(1, 100'000);
};

TEST_F(S3Test, LargeObjectsGoInParts) {
  Put("small", RandomBytes(1, 3'000'000));
  EXPECT_EQ(s3_.server.parts, 0);
  const Bytes large = RandomBytes(2, 6'000'000);
  EXPECT_TRUE(ReadAll(s3_.store(), Put("exact", large)).value() == large);
  EXPECT_EQ(s3_.server.parts, 3);
}

TEST_F(S3Test, AFailedUploadInPartsIsTakenBack) {
  s3_.server.fault = [](const ServerRequest& request) -> std::optional<ServerReply> {
    if (request.Query().starts_with("partNumber=2")) return ServerReply{.status = 403};
    return std::nullopt;
  };
  const Bytes large = RandomBytes(2, 6'000'000);
  EXPECT_EQ(PutOne(s3_.store(), RefOf("large", large), large).code(), Code::kPermission);
  EXPECT_EQ(s3_.server.aborted, 1);
  EXPECT_EQ(s3_.server.objects(), 0u);
}

TEST_F(S3Test, UploadsThatWereCutOffAreListedAndGivenUp) {
  // Neither the second part nor what would take the first one back gets through.
  s3_.server.fault = [](const ServerRequest& request) -> std::optional<ServerReply> {
    if (request.Query().starts_with("partNumber=2") || request.method == "DELETE")
      return ServerReply{.status = 403};
    return std::nullopt;
  };
  const Bytes large = RandomBytes(2, 6'000'000);
  for (const char* name : {"a/1", "a/1", "a/2", "b/1"})
    EXPECT_FALSE(PutOne(s3_.store(), RefOf(name, large), large).ok());
  s3_.server.fault = nullptr;
  s3_.server.page = 1;
  const auto names = [&](std::string_view prefix) {
    std::vector<std::string> found;
    auto uploads = s3_.store().ListUnfinished(prefix, Soon());
    EXPECT_TRUE(uploads.ok()) << uploads.status().message();
    for (const UnfinishedUpload& upload : uploads.value()) found.push_back(upload.name);
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(""), (Names{"a/1", "a/1", "a/2", "b/1"}));
  EXPECT_EQ(names("c"), Names());
  const std::vector<UnfinishedUpload> uploads = s3_.store().ListUnfinished("a/", Soon()).value();
  ASSERT_EQ(uploads.size(), 3u);
  for (const UnfinishedUpload& upload : uploads) {
    EXPECT_TRUE(s3_.store().GiveUp(upload, Soon()).ok());
    EXPECT_TRUE(s3_.store().GiveUp(upload, Soon()).ok()) << "it has ended already";
  }
  EXPECT_EQ(s3_.server.aborted, 3);
  EXPECT_EQ(names(""), (Names{"b/1"}));
  FailNext("GET", {.body = "<html>"});
  EXPECT_EQ(s3_.store().ListUnfinished("", Soon()).status().code(), Code::kUnavailable);
  // Neither a list that goes in circles, nor uploads that were not asked for.
  const std::string page =
      "<ListMultipartUploadsResult><Upload><Key>some/prefix/b/1</Key><UploadId>i</UploadId></"
      "Upload>";
  const std::string end = "</ListMultipartUploadsResult>";
  FailNext("GET", {.body = page + end});
  EXPECT_EQ(names("a/"), Names());
  FailNext("GET", {.body = page + end});
  EXPECT_EQ(names("b/"), (Names{"b/1"}));
  FailNext("GET",
           {.body = page + "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>" + end},
           100);
  EXPECT_EQ(s3_.store().ListUnfinished("", Soon()).status().code(), Code::kUnavailable);
  FailNext("DELETE", {.status = 403});
  EXPECT_EQ(s3_.store().GiveUp(uploads[0], Soon()).code(), Code::kPermission);
}

TEST_F(S3Test, ASuccessThatIsAnErrorIsNoSuccess) {
  s3_.server.fault = [](const ServerRequest& request) -> std::optional<ServerReply> {
    if (request.method == "POST" && request.Query().starts_with("uploadId="))
      return ServerReply{.body = "<Error><Code>InternalError</Code></Error>"};
    return std::nullopt;
  };
  const Bytes large = RandomBytes(2, 6'000'000);
  EXPECT_EQ(PutOne(s3_.store(), RefOf("large", large), large).code(), Code::kUnavailable);
  EXPECT_EQ(s3_.server.aborted, 1);
}

TEST_F(S3Test, WhatIsStoredIsLookedAt) {
  FailNext("HEAD",
           {.headers = {"ETag: \"other\""}, .body = std::string(100'000, 'x'), .no_body = true});
  EXPECT_EQ(PutOne(s3_.store(), RefOf("o", bytes_), bytes_).code(), Code::kUnavailable);
  FailNext("HEAD", {.body = "short", .no_body = true});
  EXPECT_EQ(PutOne(s3_.store(), RefOf("o", bytes_), bytes_).code(), Code::kUnavailable);
}

TEST_F(S3Test, ListsOfSeveralPages) {
  s3_.server.page = 2;
  for (int i = 0; i < 7; ++i) Put("a/" + std::to_string(i), Bytes(10));
  int count = 0;
  const auto counting = [&](const ListedObject&) { return ++count, Status(); };
  EXPECT_TRUE(s3_.store().List("a/", counting, Soon()).ok());
  EXPECT_EQ(count, 7);
  FailNext("GET", {.body = "<html>"});
  EXPECT_EQ(s3_.store().List("", counting, Soon()).code(), Code::kUnavailable);
  // What was not asked for; a list without an end.
  const std::string stranger =
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t"
      "</NextContinuationToken><Contents><Key>p/b/1</Key><Size>1</Size></Contents>"
      "</ListBucketResult>";
  count = 0;
  FailNext("GET", {.body = stranger}, 1000);
  EXPECT_EQ(s3_.store().List("a/", counting, Soon()).code(), Code::kUnavailable);
  EXPECT_EQ(count, 0);
}

TEST_F(S3Test, TemporaryCredentialsAndUnsignedBodies) {
  s3_.server.session_token = "a+token/=";
  s3_.options.session_token = "a+token/=";
  s3_.options.sha256 = nullptr;
  EXPECT_TRUE(ReadAll(s3_.store(), Put("o", bytes_)).value() == bytes_);
}

TEST_F(S3Test, RefusalsAreNamedAndKeepSecrets) {
  s3_.options.secret_access_key = "wrong s/e+cret";
  const Status wrong = PutOne(s3_.store(), RefOf("o", bytes_), bytes_);
  EXPECT_EQ(wrong.code(), Code::kPermission);
  EXPECT_EQ(wrong.message(),
            "store \"s3\", object \"o\": access denied (HTTP 403, SignatureDoesNotMatch)");
  ExpectNoSecret(wrong);
  const std::pair<int, Code> statuses[] = {{401, Code::kPermission}, {403, Code::kPermission},
                                           {404, Code::kNotFound},   {413, Code::kUnsupported},
                                           {409, Code::kRefused},    {416, Code::kCorruption},
                                           {301, Code::kRefused},    {501, Code::kUnavailable}};
  for (const auto& [status, code] : statuses) {
    FailNext("GET", {.status = status, .body = "<Code>s/e+cret</Code>"}, 100);
    const Status got = ReadAll(s3_.store(), RefOf("o", bytes_)).status();
    EXPECT_EQ(got.code(), code) << status;
    EXPECT_NE(got.message().find("HTTP " + std::to_string(status)), std::string::npos);
    ExpectNoSecret(got);
  }
}

TEST_F(S3Test, OneThatIsRefusedDoesNotKeepTheOthers) {
  s3_.options.store.http.max_connections = 1;
  for (const int status : {400, 403, 409, 412}) {
    s3_.server.fault = nullptr;
    std::vector<ObjectRef> refs;
    for (int i = 0; i < 10; ++i) {
      refs.push_back(RefOf("o" + std::to_string(i), bytes_));
      ASSERT_TRUE(PutOne(s3_.store(), refs.back(), bytes_).ok());
    }
    s3_.server.fault = [status](const ServerRequest& request) -> std::optional<ServerReply> {
      if (request.method != "DELETE" || !request.Path().ends_with("/o0")) return std::nullopt;
      return ServerReply{.status = status};
    };
    size_t removals = 0;
    const auto removed = [&](size_t i, const Result<Removal>& removal) {
      EXPECT_EQ(removal.ok(), i != 0) << status << " of " << i;
      removals += removal.ok() ? 1 : 0;
    };
    EXPECT_TRUE(s3_.store().RemoveAll(refs, removed, 10'000).ok());
    EXPECT_EQ(removals, refs.size() - 1) << status;
    EXPECT_EQ(s3_.server.objects(), 1u) << status;
  }
}

TEST_F(S3Test, RetriesWhatMayHelp) {
  const ObjectRef ref = Put("o", bytes_);
  for (const ServerReply& reply :
       std::initializer_list<ServerReply>{{.status = 429},
                                          {.status = 500},
                                          {.status = 503},
                                          {.reset = true},
                                          {.body = std::string(100'000, 'x'), .cut_at = 5}}) {
    FailNext("GET", reply, 2);
    const auto back = ReadAll(s3_.store(), ref);
    EXPECT_TRUE(back.ok() && back.value() == bytes_) << back.status().message();
    FailNext("PUT", reply, 2);
    if (reply.cut_at < 0) Put("p", bytes_);
  }
  EXPECT_GE(s3_.state->retries, 14u);
  EXPECT_EQ(s3_.state->breaker.state(MonotonicMs()), Breaker::State::kClosed);
  EXPECT_GT(s3_.state->refusals[static_cast<size_t>(Refusal::kTooMany)], 0u);
  EXPECT_GT(s3_.state->errors[static_cast<size_t>(HttpError::kReset)], 0u);
}

TEST_F(S3Test, WrongBytesAreFetchedOnceMore) {
  const ObjectRef ref = Put("o", bytes_);
  const std::string short_body(10, 'x');
  for (const ServerReply& reply : std::initializer_list<ServerReply>{
           {.status = 206, .headers = {"Content-Range: bytes 1-10/100000"}, .body = short_body},
           {.status = 206, .headers = {"Content-Range: bytes 0-9/100001"}, .body = short_body},
           {.status = 206, .body = short_body},
           {.status = 200, .body = short_body}}) {
    Bytes target(10);
    FailNext("GET", reply);
    EXPECT_TRUE(GetRange(s3_.store(), {&ref, 0, target}, Soon()).ok());
    EXPECT_TRUE(std::equal(target.begin(), target.end(), bytes_.begin()));
    FailNext("GET", reply, 2);
    const Status twice = GetRange(s3_.store(), {&ref, 0, target}, Soon());
    EXPECT_EQ(twice.code(), Code::kCorruption);
    EXPECT_NE(twice.message().find("store \"s3\", object \"o\""), std::string::npos);
  }
  EXPECT_EQ(s3_.state->refetches, 8u);
}

TEST_F(S3Test, AnOutageCostsOneTimeout) {
  const ObjectRef ref = Put("o", bytes_);
  Bytes target(10);
  s3_.server.fault = [](const ServerRequest&) { return ServerReply{.delay_ms = 20'000}; };
  const Deadline patience = Deadline::After(5000);
  EXPECT_EQ(GetRange(s3_.store(), {&ref, 0, target}, Deadline::After(200)).code(),
            Code::kUnavailable);
  EXPECT_EQ(s3_.state->breaker.state(MonotonicMs()), Breaker::State::kClosed)
      << "who gives up at once has found nothing out";
  EXPECT_EQ(GetRange(s3_.store(), {&ref, 0, target}, Deadline::After(1100)).code(),
            Code::kUnavailable);
  EXPECT_FALSE(patience.Expired());
  // Others, in other processes, share the state and nothing else.
  S3Fixture other;
  other.options.endpoint = s3_.server.Url();
  other.options.store.state = s3_.state.get();
  const Deadline at_once = Deadline::After(100);
  const Status refused = GetRange(other.store(), {&ref, 0, target}, Soon());
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_TRUE(refused.retryable());
  EXPECT_NE(refused.message().find("not asked again"), std::string::npos) << refused.message();
  EXPECT_FALSE(at_once.Expired());
  // An upload waits until the store is asked again, and with it those who come then.
  s3_.server.fault = nullptr;
  EXPECT_TRUE(PutOne(other.store(), RefOf("p", bytes_), bytes_).ok());
  EXPECT_TRUE(GetRange(other.store(), {&ref, 0, target}, Soon()).ok());
  EXPECT_TRUE(GetRange(s3_.store(), {&ref, 0, target}, Soon()).ok());
}

TEST_F(S3Test, OneObjectIsNoOutage) {
  const ObjectRef ref = Put("o", bytes_), hung = Put("hung", bytes_);
  s3_.server.fault = [](const ServerRequest& request) -> std::optional<ServerReply> {
    if (request.Path().find("hung") == std::string::npos) return std::nullopt;
    return ServerReply{.delay_ms = 20'000};
  };
  Bytes target(10), other_target(10);
  std::thread others([&] {
    S3Fixture other;
    other.options.endpoint = s3_.server.Url();
    other.options.store.state = s3_.state.get();
    for (int i = 0; i < 24; ++i) {
      EXPECT_TRUE(GetRange(other.store(), {&ref, 0, other_target}, Soon()).ok());
      PollWaiter().Wait(-1, 50, WaitFor::kRetry).ok();
    }
  });
  EXPECT_EQ(GetRange(s3_.store(), {&hung, 0, target}, Deadline::After(1100)).code(),
            Code::kUnavailable);
  others.join();
  EXPECT_EQ(s3_.state->breaker.state(MonotonicMs()), Breaker::State::kClosed);
}

TEST_F(S3Test, SlowRequestsAreHedgedWithinLimits) {
  const ObjectRef ref = Put("o", bytes_);
  Bytes target(10);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(GetRange(s3_.store(), {&ref, 0, target}, Soon()).ok());
  s3_.state->hedges = s3_.state->hedges_won = 0;
  int slow = 1;
  s3_.server.fault = [&](const ServerRequest& request) -> std::optional<ServerReply> {
    if (slow-- > 0) {
      ServerReply reply = RangeReply(request, std::string(100'000, 'x'));
      reply.delay_ms = 3000;
      return reply;
    }
    return std::nullopt;
  };
  const Deadline quick = Deadline::After(1000);
  target.assign(10, 0);
  EXPECT_TRUE(GetRange(s3_.store(), {&ref, 0, target}, Soon()).ok());
  EXPECT_FALSE(quick.Expired());
  EXPECT_TRUE(std::equal(target.begin(), target.end(), bytes_.begin()));
  EXPECT_EQ(s3_.state->hedges, 1u);
  EXPECT_EQ(s3_.state->hedges_won, 1u);
  // When everything is slow, few are asked twice.
  s3_.server.fault = [&](const ServerRequest&) -> std::optional<ServerReply> {
    return ServerReply{.status = 503, .delay_ms = 100};
  };
  std::vector<Bytes> targets(50, Bytes(10));
  std::vector<RangeRequest> requests;
  for (Bytes& one : targets) requests.push_back({&ref, 0, one});
  CountingSink sink(requests.size());
  EXPECT_FALSE(s3_.store().GetRanges(requests, sink, Deadline::After(1000)).ok());
  EXPECT_LE(s3_.state->hedges * 20, s3_.state->requests + 20);
}

TEST_F(S3Test, AWriteWhoseReplyWasLostIsRecognised) {
  const auto first = s3_.store().WriteRecord("r", Bytes{1}, std::nullopt, Soon());
  ASSERT_TRUE(first.ok());
  FailNext("PUT", {.status = 412});
  const auto lost = s3_.store().WriteRecord("r", Bytes{1}, std::nullopt, Soon());
  ASSERT_TRUE(lost.ok());
  EXPECT_EQ(lost.value(), first.value());
}

TEST(S3Hosted, TheBucketIsInTheHostsName) {
  S3HostedFixture s3;
  const Bytes bytes = RandomBytes(1, 5'000'000);
  const ObjectRef ref = RefOf("large", bytes);
  ASSERT_TRUE(PutOne(s3.store(), ref, bytes).ok());
  EXPECT_EQ(s3.server.parts, 3);
  EXPECT_TRUE(ReadAll(s3.store(), ref).value() == bytes);
  EXPECT_EQ(s3.store().Remove(ref, Soon()).value(), Removal::kRemoved);
  EXPECT_GE(s3.server.hosted_requests, 7);
  EXPECT_EQ(s3.server.path_requests, 0);
}

TEST(S3Options, AreChecked) {
  StoreState state = {};
  PollWaiter waiter;
  S3Options good;
  good.store = {"s3", {}, &waiter, &state, 0};
  good.endpoint = "https://s3.example.com/";
  good.bucket = "my-bucket";
  EXPECT_TRUE(S3Store::Make(good).ok());
  const auto refused = [&](auto change) {
    S3Options options = good;
    change(options);
    const auto made = S3Store::Make(options);
    return made.status().code() == Code::kInvalidArgument &&
           made.status().message().find("cret") == std::string::npos;
  };
  for (const char* url : {"", "ftp://x", "https://", "https://user:secret@x", "https://@x",
                          "https://x?secret", "https://x#secret", "https://x y"})
    EXPECT_TRUE(refused([&](S3Options& options) { options.endpoint = url; })) << url;
  for (const char* bucket : {"", "ab", "Bucket", "a/b", "a%2f", ".ab"})
    EXPECT_TRUE(refused([&](S3Options& options) { options.bucket = bucket; })) << bucket;
  for (const char* prefix : {"/", "../", "a//", "a b/", ".a"})
    EXPECT_TRUE(refused([&](S3Options& options) { options.prefix = prefix; })) << prefix;
  EXPECT_TRUE(refused([&](S3Options& options) { options.region = "x\r\ny"; }));
}

TEST(Xml, PathsAndTexts) {
  std::vector<std::string> seen;
  const auto see = [&](const std::string& path, const std::string& text) {
    seen.push_back(path + "=" + text);
    return Status();
  };
  EXPECT_TRUE(ReadXml("<?xml version=\"1.0\"?><!DOCTYPE x>\n<a x='>'><n:b>1 "
                      "&lt;&#65;&#x20ac;</n:b><c/><!-- <z> --><b>2</b></a>\n",
                      see)
                  .ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"a/b=1 <A\xe2\x82\xac", "a/c=", "a/b=2", "a="}));
  for (const char* bad :
       {"<a>", "</a>", "<a></b>", "<a", "<a>&nope;</a>", "<a>&#0;</a>", "<a>&#x110000;</a>",
        "<>x</>", "<a><!-- </a>", "<a><b></a></b>", "<aa></a>", "<a b='></a>", "<a>&amp</a>"})
    EXPECT_FALSE(ReadXml(bad, see).ok()) << bad;
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "<a>";
  EXPECT_FALSE(ReadXml(deep, see).ok());
  EXPECT_EQ(EscapeXml("a<b>&\"c"), "a&lt;b&gt;&amp;&quot;c");
}

}  // namespace
}  // namespace vdb::store
