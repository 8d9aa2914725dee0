#include "store/fault_store.h"

#include <gtest/gtest.h>

#include "unit/store_fixtures.h"

namespace vdb::store {
namespace {

class FaultStoreTest : public testing::Test {
 protected:
  FaultStoreTest() {
    EXPECT_TRUE(PutOne(beneath_, ref_, bytes_).ok());
    EXPECT_TRUE(PutOne(beneath_, other_, other_bytes_).ok());
  }

  CancelWaiter waiter_;
  MemoryStore beneath_{"archive"};
  FaultStore store_{&beneath_, &waiter_};
  const Bytes bytes_ = RandomBytes(1, 1000), other_bytes_ = RandomBytes(2, 1000);
  const ObjectRef ref_ = RefOf("o", bytes_), other_ = RefOf("p", other_bytes_);
};

TEST_F(FaultStoreTest, TheNthCallFails) {
  const std::pair<Fault, Code> errors[] = {{Fault::kNoSuchHost, Code::kUnavailable},
                                           {Fault::kConnectionLimit, Code::kUnavailable},
                                           {Fault::kExpiredCertificate, Code::kUnavailable},
                                           {Fault::kReset, Code::kUnavailable},
                                           {Fault::kUnauthorized, Code::kPermission},
                                           {Fault::kMissing, Code::kNotFound},
                                           {Fault::kBusy, Code::kUnavailable},
                                           {Fault::kTooLarge, Code::kUnsupported},
                                           {Fault::kDiskFull, Code::kDiskFull}};
  for (const auto& [fault, code] : errors) {
    store_.Clear();
    store_.Add({fault, std::nullopt, 2});
    EXPECT_TRUE(ReadAll(store_, ref_).ok());
    const Status status = ReadAll(store_, ref_).status();
    EXPECT_EQ(status.code(), code);
    EXPECT_NE(status.message().find("store \"archive\", object \"o\""), std::string::npos);
    EXPECT_TRUE(ReadAll(store_, ref_).ok());
    EXPECT_EQ(store_.faults(), 1u);
    EXPECT_EQ(store_.calls(), 3u);
  }
}

TEST_F(FaultStoreTest, OperationsAreCountedApart) {
  store_.Add({Fault::kBusy, Operation::kStat, 1, 2});
  EXPECT_TRUE(ReadAll(store_, ref_).ok());
  EXPECT_FALSE(store_.Stat(ref_, Soon()).ok());
  EXPECT_TRUE(ReadAll(store_, ref_).ok());
  EXPECT_FALSE(store_.Stat(ref_, Soon()).ok());
  EXPECT_TRUE(store_.Stat(ref_, Soon()).ok());
}

TEST_F(FaultStoreTest, ReadingBackFindsWhatTheStoreHasDone) {
  const std::pair<FaultRule, Code> faults[] = {
      {{Fault::kLost, Operation::kUpload}, Code::kNotFound},
      {{Fault::kFlippedBit, Operation::kUpload}, Code::kCorruption},
      {{Fault::kFlippedBit, Operation::kRange}, Code::kCorruption},
      {{Fault::kOtherBytes, Operation::kRange}, Code::kCorruption},
      {{Fault::kBusy, Operation::kRange}, Code::kUnavailable}};
  for (const auto& [rule, code] : faults) {
    store_.Clear();
    EXPECT_TRUE(ReadAll(store_, ref_).ok());
    store_.Clear();
    store_.Add(rule);
    const Bytes bytes = RandomBytes(3, 1000);
    const std::unique_ptr<Uploads> uploads = store_.NewUploads({.digest = &crypto::Blake3});
    EXPECT_EQ(uploads->Add(RefOf("q", bytes), bytes).code(), code);
    EXPECT_TRUE(beneath_.Remove(RefOf("q", bytes), Soon()).ok());
    EXPECT_EQ(uploads->Finish().code(), code) << "for good";
    EXPECT_EQ(store_.faults(), 1u);
  }
}

TEST_F(FaultStoreTest, DamagedBytesAreMendedByTheSecondFetch) {
  for (const Fault fault : {Fault::kFlippedBit, Fault::kOtherBytes}) {
    store_.Clear();
    EXPECT_TRUE(ReadAll(store_, other_).ok());
    store_.Add({fault, Operation::kRange, 2});
    EXPECT_FALSE(ReadAll(store_, ref_).value() == bytes_);
    EXPECT_TRUE(ReadAll(store_, other_).ok());
    store_.Clear();
    store_.Add({fault, Operation::kRange, 1});
    Bytes target(1000);
    const RangeRequest request{&ref_, 0, target};
    CountingSink sink(1);
    sink.answer = [&](size_t) { return target == bytes_ ? Status() : Corruption("damaged"); };
    EXPECT_TRUE(store_.GetRanges({&request, 1}, sink, Soon()).ok());
    EXPECT_EQ(sink.done[0], 2);
  }
}

TEST_F(FaultStoreTest, StallsEndAtTheDeadlineOrWithACancel) {
  store_.Add({Fault::kStall, std::nullopt, 1, 2});
  EXPECT_EQ(store_.Stat(ref_, Deadline::After(20)).status().code(), Code::kUnavailable);
  waiter_.cancelled = true;
  EXPECT_EQ(store_.Stat(ref_, Deadline::Never()).status().code(), Code::kCancelled);
  waiter_.cancelled = false;
  store_.Clear();
  store_.set_slow_ms(20);
  store_.Add({Fault::kSlow});
  const Deadline quick = Deadline::After(19);
  EXPECT_TRUE(store_.Stat(ref_, Soon()).ok());
  EXPECT_TRUE(quick.Expired());
}

TEST_F(FaultStoreTest, UploadsThatAreLostDamagedOrDoneAllTheSame) {
  const Bytes bytes = RandomBytes(3, 100);
  const ObjectRef lost = RefOf("lost", bytes), damaged = RefOf("damaged", bytes),
                  done = RefOf("done", bytes);
  store_.Add({Fault::kLost, Operation::kUpload, 1});
  store_.Add({Fault::kFlippedBit, Operation::kUpload, 2});
  store_.Add({Fault::kDoneButFailed, Operation::kUpload, 3});
  EXPECT_TRUE(PutOne(store_, lost, bytes).ok());
  EXPECT_EQ(ReadAll(store_, lost).status().code(), Code::kNotFound);
  EXPECT_TRUE(PutOne(store_, damaged, bytes).ok());
  EXPECT_FALSE(ReadAll(store_, damaged).value() == bytes);
  EXPECT_EQ(PutOne(store_, done, bytes).code(), Code::kUnavailable);
  EXPECT_TRUE(ReadAll(store_, done).value() == bytes);
}

TEST_F(FaultStoreTest, RemovalsAndRecords) {
  store_.Add({Fault::kDisabled, Operation::kRemove, 1});
  store_.Add({Fault::kDoneButFailed, Operation::kRemove, 2});
  EXPECT_EQ(store_.Remove(ref_, Soon()).value(), Removal::kDisabled);
  EXPECT_TRUE(ReadAll(store_, ref_).ok());
  EXPECT_EQ(store_.Remove(ref_, Soon()).status().code(), Code::kUnavailable);
  EXPECT_EQ(store_.Remove(ref_, Soon()).value(), Removal::kAbsent);

  store_.Add({Fault::kConflict, Operation::kWriteRecord, 1});
  store_.Add({Fault::kDoneButFailed, Operation::kWriteRecord, 2});
  EXPECT_FALSE(store_.WriteRecord("r", Bytes{1}, std::nullopt, Soon()).value().has_value());
  EXPECT_FALSE(store_.ReadRecord("r", Soon()).value().has_value());
  EXPECT_FALSE(store_.WriteRecord("r", Bytes{1}, std::nullopt, Soon()).ok());
  EXPECT_EQ(store_.ReadRecord("r", Soon()).value()->value, Bytes{1});
}

TEST_F(FaultStoreTest, TheSameSeedMakesTheSameFaults) {
  const auto run = [&](uint64_t seed) {
    store_.SetRandom(seed, 0.3, {Fault::kBusy, Fault::kMissing, Fault::kReset});
    std::string outcomes;
    for (int i = 0; i < 50; ++i)
      outcomes +=
          static_cast<char>('0' + static_cast<int>(store_.Stat(ref_, Soon()).status().code()));
    return outcomes;
  };
  const std::string first = run(20261122);
  EXPECT_EQ(first, run(20261122));
  EXPECT_NE(first, run(20261123));
}

}  // namespace
}  // namespace vdb::store
