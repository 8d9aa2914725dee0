#include "store/object_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace vdb::store {
namespace {

TEST(CheckName, TakesPathsThatStayInside) {
  for (const char* good : {"a", "A-1_b.bin", "vdb/0f/chunk.7", "a/b/c/d"}) {
    EXPECT_TRUE(CheckName(good).ok()) << good;
  }
  EXPECT_TRUE(CheckName(std::string(200, 'a')).ok());
}

TEST(CheckName, RefusesEverythingElse) {
  const std::string bad[] = {"",
                             "/",
                             "/a",
                             "a/",
                             "a//b",
                             ".",
                             "..",
                             "a/../b",
                             "../a",
                             "a b",
                             "a%2f",
                             "a\\",
                             "a\nb",
                             ".tmp",
                             "a/.hidden",
                             "\xc3\xa9",
                             "a?b=c",
                             "a#b",
                             std::string("a\0b", 3),
                             std::string(201, 'a'),
                             std::string(600, '/')};
  for (const std::string& name : bad) {
    EXPECT_EQ(CheckName(name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(CheckRanges, WantsBytesInsideTheObject) {
  const ObjectRef object{{}, 100, "o"};
  std::vector<uint8_t> target(100);
  const auto check = [&](uint64_t offset, size_t bytes) {
    const RangeRequest request{&object, offset, std::span(target).first(bytes)};
    return CheckRanges({&request, 1}).ok();
  };
  EXPECT_TRUE(check(0, 100));
  EXPECT_TRUE(check(99, 1));
  EXPECT_FALSE(check(0, 0));
  EXPECT_FALSE(check(100, 1));
  EXPECT_FALSE(check(1, 100));
  EXPECT_FALSE(check(UINT64_MAX, 1));
}

TEST(StoreError, NamesStoreAndObject) {
  ObjectRef object;
  object.digest[0] = 0xab;
  EXPECT_EQ(Describe(object).substr(0, 4), "ab00");
  object.name = "x/y";
  const Status status = StoreError(Code::kUnavailable, "archive", Describe(object), "no answer");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(status.message(), "store \"archive\", object \"x/y\": no answer");
  EXPECT_EQ(StoreError(Code::kDiskFull, "archive", "", "full").message(),
            "store \"archive\": full");
}

TEST(Deadline, CountsDown) {
  EXPECT_TRUE(Deadline::After(0).Expired());
  EXPECT_TRUE(Deadline::After(-5).Expired());
  EXPECT_FALSE(Deadline::Never().Expired());
  EXPECT_EQ(Deadline::Never().WaitMs(30), 30);
  const Deadline soon = Deadline::After(50);
  EXPECT_FALSE(soon.Expired());
  EXPECT_LE(soon.WaitMs(1000), 50);
  EXPECT_LE(Deadline::Never().Earlier(soon).RemainingMs(), 50);
}

TEST(PollWaiter, ReturnsAfterTheTimeOrWhenReadable) {
  PollWaiter waiter;
  const Deadline half = Deadline::After(20);
  EXPECT_TRUE(waiter.Wait(-1, 25, WaitFor::kAnswer).ok());
  EXPECT_TRUE(half.Expired());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  const Deadline never_reached = Deadline::After(5000);
  EXPECT_TRUE(waiter.Wait(ends[0], 10'000, WaitFor::kAnswer).ok());
  EXPECT_FALSE(never_reached.Expired());
  close(ends[0]);
  close(ends[1]);
}

/// Hands out the verdicts it was given, one a call.
class ScriptedSink : public RangeSink {
 public:
  std::vector<Code> verdicts;
  std::vector<size_t> calls;
  Status Done(size_t index) override {
    calls.push_back(index);
    const size_t call = calls.size() - 1;
    if (call >= verdicts.size() || verdicts[call] == Code::kOk) return {};
    return {verdicts[call], "verdict"};
  }
};

TEST(GetOneByOne, FetchesADamagedRangeOnceMore) {
  const ObjectRef object{{}, 10, "o"};
  uint8_t bytes[2];
  const RangeRequest requests[] = {{&object, 0, {bytes, 1}}, {&object, 1, {bytes + 1, 1}}};
  int reads = 0;
  const auto read = [&](const RangeRequest&) {
    ++reads;
    return Status();
  };
  ScriptedSink mended;
  mended.verdicts = {Code::kCorruption};
  EXPECT_TRUE(GetOneByOne(requests, mended, "s", read).ok());
  EXPECT_EQ(reads, 3);
  EXPECT_EQ(mended.calls, (std::vector<size_t>{0, 0, 1}));

  ScriptedSink damaged;
  damaged.verdicts = {Code::kOk, Code::kCorruption, Code::kCorruption};
  const Status status = GetOneByOne(requests, damaged, "s", read);
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_EQ(status.message(), "store \"s\", object \"o\": verdict");

  ScriptedSink stopped;
  stopped.verdicts = {Code::kCancelled};
  EXPECT_EQ(GetOneByOne(requests, stopped, "s", read).code(), Code::kCancelled);
  EXPECT_EQ(stopped.calls.size(), 1u);
}

}  // namespace
}  // namespace vdb::store
