#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "unit/store_fixtures.h"
#include "unit/store_s3_server.h"
#include "unit/store_s5_server.h"

namespace vdb::store {
namespace {

/// What every store must do, whatever it stands on.
class StoreConformance : public testing::TestWithParam<StoreCase> {
 protected:
  StoreConformance() : fixture_(GetParam().make()), store_(fixture_->store()) {}

  ObjectRef Put(const std::string& name, const Bytes& bytes) {
    const ObjectRef ref = RefOf(name, bytes);
    const Status status = PutOne(store_, ref, bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    return ref;
  }

  std::unique_ptr<StoreFixture> fixture_;
  ObjectStore& store_;
};

TEST_P(StoreConformance, HasAName) { EXPECT_FALSE(store_.name().empty()); }

TEST_P(StoreConformance, ReadsBackWhatWasStored) {
  for (const size_t size : {1, 2, 1000, 16400, 300'000}) {
    const Bytes bytes = RandomBytes(size, size);
    const ObjectRef ref = Put("object/" + std::to_string(size), bytes);
    const Result<Bytes> back = ReadAll(store_, ref);
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_TRUE(back.value() == bytes) << size;
    EXPECT_EQ(store_.Stat(ref, Soon()).value(), size);
  }
}

TEST_P(StoreConformance, LargeObjects) {
  const Bytes bytes = RandomBytes(9, 7'000'001);
  const ObjectRef ref = Put("large", bytes);
  const Result<Bytes> back = ReadAll(store_, ref);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_TRUE(back.value() == bytes);
}

TEST_P(StoreConformance, EachRangeIsDeliveredOnce) {
  std::vector<Bytes> contents;
  std::vector<ObjectRef> refs;
  for (int i = 0; i < 4; ++i) {
    contents.push_back(RandomBytes(100 + i, 500'000));
    refs.push_back(Put("o" + std::to_string(i), contents.back()));
  }
  SplitMix64 random(7);
  std::vector<Bytes> targets;
  std::vector<std::pair<size_t, size_t>> places;
  for (int i = 0; i < 60; ++i) {
    const size_t bytes = 1 + random.Below(50'000);
    places.emplace_back(random.Below(4), random.Below(500'001 - bytes));
    targets.emplace_back(bytes);
  }
  // The first and the last byte, and everything.
  places.insert(places.end(), {{0, 0}, {0, 499'999}, {1, 0}});
  for (const size_t bytes : {1, 1, 500'000}) targets.emplace_back(bytes);
  std::vector<RangeRequest> requests;
  for (size_t i = 0; i < targets.size(); ++i)
    requests.push_back({&refs[places[i].first], places[i].second, targets[i]});
  CountingSink sink(requests.size());
  sink.answer = [&](size_t i) {
    const auto at = contents[places[i].first].begin() + static_cast<ptrdiff_t>(places[i].second);
    EXPECT_TRUE(std::equal(targets[i].begin(), targets[i].end(), at)) << i;
    return Status();
  };
  const Status status = store_.GetRanges(requests, sink, Soon());
  EXPECT_TRUE(status.ok()) << status.message();
  for (const int count : sink.done) EXPECT_EQ(count, 1);
}

TEST_P(StoreConformance, NamesOfJsonAreKeptOrRefused) {
  const std::string text = "{ \"b\": 1,\n  \"a\": 2 }";
  const Bytes bytes(text.begin(), text.end());
  const ObjectRef ref = RefOf("dir/manifest.json", bytes);
  const std::unique_ptr<Uploads> uploads = store_.NewUploads({});
  Status status = uploads->Add(ref, bytes);
  if (status.ok()) status = uploads->Finish();
  EXPECT_EQ(status.ok(), store_.capabilities().json_names) << status.message();
  if (!status.ok()) return;
  // More may be stored after a Finish.
  const Bytes more = RandomBytes(2, 3000);
  EXPECT_TRUE(uploads->Add(RefOf("dir/more.bin", more), more).ok());
  EXPECT_TRUE(uploads->Finish().ok());
  Bytes target(bytes.size());
  const RangeRequest requests[] = {{&ref, 0, target}};
  CountingSink sink(1);
  EXPECT_TRUE(store_.GetRanges(requests, sink, Soon()).ok());
  EXPECT_EQ(target, bytes);
}

TEST_P(StoreConformance, NothingToFetch) {
  CountingSink sink(0);
  EXPECT_TRUE(store_.GetRanges({}, sink, Soon()).ok());
}

TEST_P(StoreConformance, DamagedRangesAreFetchedOnceMore) {
  const Bytes bytes = RandomBytes(1, 5000);
  const ObjectRef ref = Put("o", bytes);
  Bytes target(5000);
  const RangeRequest requests[] = {{&ref, 0, std::span(target).first(2000)},
                                   {&ref, 2000, std::span(target).subspan(2000)}};
  CountingSink once(2);
  once.answer = [&](size_t i) {
    if (i == 1 && once.done[1] == 1) {
      target.assign(target.size(), 0);
      return Corruption("damaged");
    }
    return Status();
  };
  const Status mended = store_.GetRanges(requests, once, Soon());
  EXPECT_TRUE(mended.ok()) << mended.message();
  EXPECT_EQ(once.done, (std::vector<int>{1, 2}));
  EXPECT_TRUE(std::equal(target.begin() + 2000, target.end(), bytes.begin() + 2000));

  CountingSink always(2);
  always.answer = [](size_t i) { return i == 0 ? Corruption("does not open") : Status(); };
  const Status status = store_.GetRanges(requests, always, Soon());
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_EQ(always.done[0], 2);
  EXPECT_NE(status.message().find(store_.name()), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("does not open"), std::string::npos) << status.message();
}

TEST_P(StoreConformance, OtherErrorsOfTheSinkEndTheBatch) {
  const ObjectRef ref = Put("o", RandomBytes(1, 100));
  Bytes target(100);
  const RangeRequest request{&ref, 0, target};
  CountingSink sink(1);
  sink.answer = [](size_t) { return Internal("enough"); };
  EXPECT_EQ(store_.GetRanges({&request, 1}, sink, Soon()).code(), Code::kInternal);
  EXPECT_EQ(sink.done[0], 1);
  EXPECT_TRUE(ReadAll(store_, ref).ok()) << "and nothing stays behind";
}

TEST_P(StoreConformance, RangesMustBeInsideTheObject) {
  const ObjectRef ref = Put("o", RandomBytes(1, 100));
  Bytes target(100);
  for (const auto& [offset, bytes] :
       std::vector<std::pair<uint64_t, size_t>>{{0, 0}, {1, 100}, {100, 1}, {UINT64_MAX, 1}}) {
    const RangeRequest request{&ref, offset, std::span(target).first(bytes)};
    CountingSink sink(1);
    EXPECT_EQ(store_.GetRanges({&request, 1}, sink, Soon()).code(), Code::kInvalidArgument);
    EXPECT_EQ(sink.done[0], 0);
  }
}

TEST_P(StoreConformance, MissingObjects) {
  const Bytes bytes = RandomBytes(3, 1000);
  const ObjectRef ref = RefOf("nowhere/at/all", bytes);
  const Status status = ReadAll(store_, ref).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find(store_.name()), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(Describe(ref)), std::string::npos) << status.message();
  EXPECT_FALSE(store_.Stat(ref, Soon()).value().has_value());
  const Removal removal = store_.Remove(ref, Soon()).value();
  if (!store_.capabilities().remove) {
    EXPECT_EQ(removal, Removal::kDisabled);
  } else if (store_.capabilities().tells_absence) {
    EXPECT_EQ(removal, Removal::kAbsent);
  }
}

TEST_P(StoreConformance, RemovedObjectsAreGone) {
  const ObjectRef ref = Put("a/b/c", RandomBytes(1, 100));
  const ObjectRef other = Put("a/b/d", RandomBytes(2, 100));
  const Result<Removal> removal = store_.Remove(ref, Soon());
  ASSERT_TRUE(removal.ok()) << removal.status().message();
  if (!store_.capabilities().remove) {
    EXPECT_EQ(removal.value(), Removal::kDisabled);
    EXPECT_TRUE(ReadAll(store_, ref).ok());
    return;
  }
  EXPECT_EQ(removal.value(), Removal::kRemoved);
  EXPECT_FALSE(store_.Stat(ref, Soon()).value().has_value());
  EXPECT_EQ(ReadAll(store_, ref).status().code(), Code::kNotFound);
  EXPECT_EQ(store_.Remove(ref, Soon()).value(),
            store_.capabilities().tells_absence ? Removal::kAbsent : Removal::kRemoved);
  EXPECT_TRUE(ReadAll(store_, other).ok());
  Put("a/b/c", RandomBytes(1, 100));
  EXPECT_TRUE(ReadAll(store_, ref).ok()) << "it can come back";
}

TEST_P(StoreConformance, RemovesManyAtATime) {
  std::vector<ObjectRef> refs;
  for (int i = 0; i < 30; ++i) refs.push_back(Put("o" + std::to_string(i), RandomBytes(i, 100)));
  const ObjectRef kept = Put("kept", RandomBytes(99, 100));
  const ObjectRef bad = RefOf("../x", RandomBytes(98, 100));
  // One was removed before, one cannot have been stored; S5 knows no names.
  EXPECT_TRUE(store_.Remove(refs[7], Soon()).ok());
  refs.push_back(bad);
  std::vector<std::optional<Result<Removal>>> removals(refs.size());
  const auto removed = [&](size_t i, const Result<Removal>& removal) {
    EXPECT_FALSE(removals[i].has_value()) << i << " was told of twice";
    removals[i] = removal;
  };
  const Status status = store_.RemoveAll(refs, removed, 10'000);
  ASSERT_TRUE(status.ok()) << status.message();
  for (size_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(removals[i].has_value() && removals[i]->ok()) << i;
    EXPECT_FALSE(store_.Stat(refs[i], Soon()).value().has_value()) << i;
    const bool absent = i == 7 && store_.capabilities().tells_absence;
    EXPECT_EQ(removals[i]->value(), absent ? Removal::kAbsent : Removal::kRemoved) << i;
  }
  ASSERT_TRUE(removals[30].has_value());
  EXPECT_TRUE(removals[30]->ok() || removals[30]->status().code() == Code::kInvalidArgument);
  EXPECT_TRUE(ReadAll(store_, kept).ok());
}

TEST_P(StoreConformance, StoringTwiceIsStoringOnce) {
  const Bytes bytes = RandomBytes(1, 50'000);
  Put("o", bytes);
  const ObjectRef ref = Put("o", bytes);
  EXPECT_TRUE(ReadAll(store_, ref).value() == bytes);
}

TEST_P(StoreConformance, ManyUploads) {
  const std::unique_ptr<Uploads> uploads = store_.NewUploads({.max_in_flight = 3});
  std::vector<ObjectRef> refs;
  for (int i = 0; i < 20; ++i) {
    Bytes bytes = RandomBytes(i, 20'000 + i);
    refs.push_back(RefOf("many/" + std::to_string(i), bytes));
    const Status status = uploads->Add(refs.back(), std::move(bytes));
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(uploads->Progress().ok());
  }
  ASSERT_TRUE(uploads->Sent().ok());
  for (const ObjectRef& ref : refs) EXPECT_EQ(store_.Stat(ref, Soon()).value(), ref.size);
  const Status status = uploads->Finish();
  ASSERT_TRUE(status.ok()) << status.message();
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(ReadAll(store_, refs[i]).value() == RandomBytes(i, 20'000 + i)) << i;
}

TEST_P(StoreConformance, WhatIsReadBackHasToBeTheObject) {
  UploadOptions options{.max_bytes = 100'000, .digest = &crypto::Blake3, .max_range_bytes = 9000};
  std::vector<ObjectRef> refs;
  {
    const std::unique_ptr<Uploads> uploads = store_.NewUploads(options);
    for (int i = 0; i < 20; ++i) {
      Bytes bytes = RandomBytes(i, 20'000 * i);
      refs.push_back(RefOf("checked/" + std::to_string(i), bytes));
      const Status status = uploads->Add(refs.back(), std::move(bytes));
      ASSERT_TRUE(status.ok()) << status.message();
    }
    const Status status = uploads->Finish();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  // The first one has no bytes to ask for.
  for (int i = 1; i < 20; ++i)
    EXPECT_TRUE(ReadAll(store_, refs[i]).value() == RandomBytes(i, 20'000 * i)) << i;
  // Its name is another's, as it were.
  options.digest = [](std::span<const uint8_t>) { return Digest{}; };
  const std::unique_ptr<Uploads> uploads = store_.NewUploads(options);
  const Bytes bytes = RandomBytes(1, 20'000);
  Status status = uploads->Add(RefOf("other.bin", bytes), bytes);
  if (status.ok()) status = uploads->Finish();
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_NE(status.message().find("read back"), std::string::npos) << status.message();
  EXPECT_EQ(uploads->Finish().code(), Code::kCorruption) << "for good";
}

TEST_P(StoreConformance, UploadsOfTheWrongSizeAreRefusedForGood) {
  ObjectRef ref = RefOf("o", RandomBytes(1, 100));
  const std::unique_ptr<Uploads> uploads = store_.NewUploads({});
  EXPECT_EQ(uploads->Add(ref, RandomBytes(1, 99)).code(), Code::kInvalidArgument);
  EXPECT_FALSE(uploads->Add(ref, RandomBytes(1, 100)).ok());
  EXPECT_FALSE(uploads->Progress().ok());
  EXPECT_FALSE(uploads->Finish().ok());
  EXPECT_FALSE(store_.Stat(ref, Soon()).value().has_value());
}

TEST_P(StoreConformance, DroppedUploadsLeaveTheStoreUsable) {
  const Bytes bytes = RandomBytes(1, 1'000'000);
  const ObjectRef ref = RefOf("o", bytes);
  {
    const std::unique_ptr<Uploads> uploads = store_.NewUploads({});
    EXPECT_TRUE(uploads->Add(ref, bytes).ok());
  }
  Put("o", bytes);
  EXPECT_TRUE(ReadAll(store_, ref).value() == bytes);
}

TEST_P(StoreConformance, FinishedUploadsAreNotUnfinished) {
  Put("a", RandomBytes(1, 100));
  const auto left = store_.ListUnfinished("", Soon());
  ASSERT_TRUE(left.ok()) << left.status().message();
  EXPECT_TRUE(left.value().empty());
}

TEST_P(StoreConformance, ListsByPrefix) {
  const auto list = [&](std::string_view prefix) {
    std::multiset<std::string> names;
    const Status status = store_.List(
        prefix,
        [&](const ListedObject& object) {
          names.insert(object.name);
          EXPECT_EQ(object.size, 100u);
          EXPECT_GT(object.modified_s, 1'700'000'000);
          return Status();
        },
        Soon());
    EXPECT_TRUE(status.ok()) << status.message();
    return names;
  };
  if (!store_.capabilities().list) {
    const auto ignore = [](const ListedObject&) { return Status(); };
    EXPECT_EQ(store_.List("", ignore, Soon()).code(), Code::kUnsupported);
    return;
  }
  EXPECT_TRUE(list("").empty());
  for (const char* name : {"a/1", "a/2", "a/b/3", "ab", "b"}) Put(name, RandomBytes(1, 100));
  ASSERT_TRUE(store_.WriteRecord("a/record", Bytes{1}, std::nullopt, Soon()).ok());
  using Names = std::multiset<std::string>;
  EXPECT_EQ(list(""), (Names{"a/1", "a/2", "a/b/3", "ab", "b"})) << "records are no objects";
  EXPECT_EQ(list("a"), (Names{"a/1", "a/2", "a/b/3", "ab"}));
  EXPECT_EQ(list("a/"), (Names{"a/1", "a/2", "a/b/3"}));
  EXPECT_EQ(list("a/b/"), (Names{"a/b/3"}));
  EXPECT_EQ(list("c"), Names{});
  const auto stop = [](const ListedObject&) { return Internal("enough"); };
  EXPECT_EQ(store_.List("", stop, Soon()).code(), Code::kInternal);
}

TEST_P(StoreConformance, RecordsAreWrittenByWhoKnowsThem) {
  if (!store_.capabilities().records) {
    EXPECT_EQ(store_.ReadRecord("r", Soon()).status().code(), Code::kUnsupported);
    EXPECT_EQ(store_.WriteRecord("r", Bytes{1}, std::nullopt, Soon()).status().code(),
              Code::kUnsupported);
    return;
  }
  const auto read = [&] {
    auto record = store_.ReadRecord("owner", Soon());
    EXPECT_TRUE(record.ok()) << record.status().message();
    return std::move(record).value();
  };
  const auto write = [&](const Bytes& value, const std::optional<std::string>& expected) {
    auto revision = store_.WriteRecord("owner", value, expected, Soon());
    EXPECT_TRUE(revision.ok()) << revision.status().message();
    return std::move(revision).value();
  };
  EXPECT_FALSE(read().has_value());
  EXPECT_FALSE(write({9}, "1").has_value()) << "no such revision";
  const auto first = write({1, 2, 3}, std::nullopt);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(read()->value, (Bytes{1, 2, 3}));
  EXPECT_EQ(read()->revision, *first);
  EXPECT_FALSE(write({4}, std::nullopt).has_value()) << "there is one";
  const auto second = write(Bytes(kMaxRecordBytes, 7), first);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(*second, *first);
  EXPECT_FALSE(write({5}, first).has_value()) << "no longer";
  EXPECT_EQ(read()->value, Bytes(kMaxRecordBytes, 7));
  EXPECT_TRUE(write({6}, read()->revision).has_value());
  EXPECT_EQ(read()->value, Bytes{6});
  EXPECT_FALSE(store_.ReadRecord("other", Soon()).value().has_value());
}

TEST_P(StoreConformance, RecordsAreSmallAndNamed) {
  EXPECT_EQ(
      store_.WriteRecord("r", Bytes(kMaxRecordBytes + 1), std::nullopt, Soon()).status().code(),
      Code::kInvalidArgument);
  EXPECT_FALSE(store_.WriteRecord("../r", Bytes(1), std::nullopt, Soon()).ok());
  EXPECT_FALSE(store_.ReadRecord("", Soon()).ok());
}

TEST_P(StoreConformance, CancelEndsEveryWait) {
  const ObjectRef ref = Put("o", RandomBytes(1, 100));
  const uint64_t before = fixture_->waiter.waits;
  ASSERT_TRUE(ReadAll(store_, ref).ok());
  if (fixture_->waiter.waits == before) return;  // a store that never waits
  fixture_->waiter.cancelled = true;
  EXPECT_EQ(ReadAll(store_, ref).status().code(), Code::kCancelled);
  EXPECT_EQ(PutOne(store_, ref, RandomBytes(1, 100)).code(), Code::kCancelled);
  EXPECT_EQ(store_.Stat(ref, Soon()).status().code(), Code::kCancelled);
  if (store_.capabilities().records) {
    EXPECT_EQ(store_.ReadRecord("r", Soon()).status().code(), Code::kCancelled);
    EXPECT_EQ(store_.WriteRecord("r", Bytes(1), std::nullopt, Soon()).status().code(),
              Code::kCancelled);
  }
  if (store_.capabilities().remove) {
    EXPECT_EQ(store_.Remove(ref, Soon()).status().code(), Code::kCancelled);
  }
  fixture_->waiter.cancelled = false;
  EXPECT_TRUE(ReadAll(store_, ref).ok());
}

template <class Fixture>
StoreCase Case(const char* name) {
  return {name, [] { return std::make_unique<Fixture>(); }};
}

/// The stores that stand in this process; and those at servers that test/store/test_conformance.py
/// has started, which it names in the environment as JSON.
std::vector<StoreCase> Cases() {
  std::vector<StoreCase> cases = {Case<MemoryFixture>("Memory"),     Case<FileFixture>("File"),
                                  Case<FaultFixture>("Fault"),       Case<S3Fixture>("S3"),
                                  Case<S3HostedFixture>("S3Hosted"), Case<S5Fixture>("S5"),
                                  Case<S5BridgeFixture>("S5Bridge")};
  if (const char* s5 = std::getenv("VDB_STORE_S5")) {
    const nlohmann::json at = nlohmann::json::parse(s5);
    for (const bool redirect : {false, true}) {
      cases.push_back({redirect ? "S5Redirect" : "S5Portal", [at, redirect] {
                         auto fixture = std::make_unique<S5Fixture>();
                         fixture->options.url = at["url"];
                         fixture->options.auth_token = at["token"];
                         fixture->options.redirect = redirect;
                         return fixture;
                       }});
    }
    cases.push_back({"S5PortalBridge",
                     [at] { return std::make_unique<S5BridgeFixture>(at["url"], at["token"]); }});
  }
  if (const char* s3 = std::getenv("VDB_STORE_S3")) {
    const nlohmann::json at = nlohmann::json::parse(s3);
    for (const bool hosted : {false, true}) {
      cases.push_back({hosted ? "S3ServerHosted" : "S3Server", [at, hosted] {
                         auto fixture = std::make_unique<S3Fixture>();
                         S3Options& options = fixture->options;
                         options.endpoint = at[hosted ? "hosted_url" : "url"];
                         options.path_style = !hosted;
                         options.bucket = at["bucket"];
                         options.region = at["region"];
                         options.access_key_id = at["access_key_id"];
                         options.secret_access_key = at["secret_access_key"];
                         options.multipart_bytes = 6 << 20;
                         options.part_bytes = 5 << 20;
                         return fixture;
                       }});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, testing::ValuesIn(Cases()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace vdb::store
