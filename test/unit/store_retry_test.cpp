#include "store/retry.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace vdb::store {
namespace {

/// As shared memory gives it: zeros.
template <class T>
class Zeroed {
 public:
  Zeroed() { std::memset(memory_, 0, sizeof(memory_)); }
  T* operator->() { return reinterpret_cast<T*>(memory_); }

 private:
  alignas(T) unsigned char memory_[sizeof(T)];
};

TEST(Breaker, OneTriesWhileTheOthersFailAtOnce) {
  Zeroed<Breaker> breaker;
  using Permit = Breaker::Permit;
  EXPECT_EQ(breaker->Ask(1000, 500), Permit::kYes);
  EXPECT_EQ(breaker->state(1000), Breaker::State::kClosed);
  breaker->Failed(1000);
  EXPECT_EQ(breaker->state(1000), Breaker::State::kOpen);
  EXPECT_EQ(breaker->Ask(1000, 500), Permit::kNo);
  EXPECT_EQ(breaker->OpenMs(1500), 500);
  EXPECT_EQ(breaker->Ask(1999, 500), Permit::kNo);
  EXPECT_EQ(breaker->Ask(2000, 500), Permit::kProbe);
  EXPECT_EQ(breaker->state(2000), Breaker::State::kProbing);
  EXPECT_EQ(breaker->Ask(2000, 500), Permit::kNo);
  breaker->Answered(2000);
  EXPECT_EQ(breaker->state(2000), Breaker::State::kClosed);
  EXPECT_EQ(breaker->Ask(2001, 500), Permit::kYes);
}

TEST(Breaker, StaysOpenLongerEachTimeUpToALimit) {
  Zeroed<Breaker> breaker;
  int64_t now = 1000;
  for (const int64_t open : {1000, 2000, 4000, 8000, 15'000, 15'000}) {
    breaker->Failed(now);
    EXPECT_EQ(breaker->OpenMs(now), open);
    now += open;
    EXPECT_EQ(breaker->Ask(now, 500), Breaker::Permit::kProbe);
  }
  breaker->Answered(2000);
  breaker->Failed(now);
  EXPECT_EQ(breaker->OpenMs(now), 1000) << "an answer begins anew";
}

TEST(Breaker, FailuresThatWereUnderWayCountOnce) {
  Zeroed<Breaker> breaker;
  for (int i = 0; i < 100; ++i) breaker->Failed(1000);
  EXPECT_EQ(breaker->OpenMs(1000), 1000);
}

TEST(Breaker, AProbeThatNeverComesBackIsReplaced) {
  Zeroed<Breaker> breaker;
  breaker->Failed(1000);
  EXPECT_EQ(breaker->Ask(2000, 500), Breaker::Permit::kProbe);
  EXPECT_EQ(breaker->Ask(2499, 500), Breaker::Permit::kNo);
  EXPECT_EQ(breaker->Ask(2500, 500), Breaker::Permit::kProbe);
  breaker->Abandoned(Breaker::Permit::kProbe, 2600);
  EXPECT_EQ(breaker->Ask(2600, 500), Breaker::Permit::kProbe) << "a cancelled one, at once";
  breaker->Abandoned(Breaker::Permit::kYes, 2700);
  EXPECT_EQ(breaker->Ask(2700, 500), Breaker::Permit::kNo) << "others have no say";
}

TEST(LatencyHistogram, QuantilesAreAFifthHighAtMost) {
  Zeroed<LatencyHistogram> histogram;
  EXPECT_EQ(histogram->Quantile(0.95), 0);
  for (int i = 1; i <= 1000; ++i) histogram->Add(i * 100);
  EXPECT_EQ(histogram->count(), 1000u);
  for (const double q : {0.01, 0.5, 0.95, 1.0}) {
    const double truth = q * 100'000;
    EXPECT_GE(static_cast<double>(histogram->Quantile(q)), truth) << q;
    EXPECT_LE(static_cast<double>(histogram->Quantile(q)), truth * 1.26) << q;
  }
  histogram->Reset();
  EXPECT_EQ(histogram->count(), 0u);
}

TEST(LatencyHistogram, TakesAnyTimeAndForgets) {
  Zeroed<LatencyHistogram> histogram;
  for (const int64_t us : {int64_t{-5}, int64_t{0}, int64_t{63}, INT64_MAX}) histogram->Add(us);
  EXPECT_EQ(histogram->count(), 4u);
  for (int i = 0; i < 5000; ++i) histogram->Add(100);
  for (int i = 0; i < 20'000; ++i) histogram->Add(100'000);
  EXPECT_LT(histogram->count(), 5000u);
  EXPECT_GT(histogram->Quantile(0.2), 50'000) << "old times fade";
}

TEST(Tries, ThreeWithGrowingVariedDelays) {
  SplitMix64 random(20261122);
  const Verdict busy{Verdict::Kind::kRetry, Code::kUnavailable, "busy", true, 0};
  int shortest[3] = {1000, 1000, 1000}, longest[3] = {0, 0, 0};
  for (int i = 0; i < 200; ++i) {
    Tries tries(&random);
    for (int retry = 0; retry < 3; ++retry) {
      const std::optional<int> delay = tries.Next(busy);
      ASSERT_TRUE(delay.has_value());
      shortest[retry] = std::min(shortest[retry], *delay);
      longest[retry] = std::max(longest[retry], *delay);
    }
    EXPECT_FALSE(tries.Next(busy).has_value());
    tries.Reset();
    EXPECT_TRUE(tries.Next(busy).has_value());
  }
  for (int retry = 0; retry < 3; ++retry) {
    const int middle = kRetryDelaysMs[retry];
    EXPECT_GE(shortest[retry], middle / 2);
    EXPECT_LE(longest[retry], middle * 3 / 2);
    EXPECT_GT(longest[retry] - shortest[retry], middle / 2);
  }
}

TEST(Tries, OnlyWhatMayHelp) {
  SplitMix64 random(1);
  Tries tries(&random);
  EXPECT_FALSE(tries.Next({Verdict::Kind::kRefused, Code::kPermission, ""}).has_value());
  const Verdict closed{Verdict::Kind::kRetryAtOnce, Code::kUnavailable, "", true};
  EXPECT_EQ(tries.Next(closed), 0);
  EXPECT_GE(tries.Next(closed).value(), 50) << "at once only once";
  Verdict later{Verdict::Kind::kRetry, Code::kUnavailable, "", true};
  later.retry_after_ms = 3000;
  EXPECT_EQ(tries.Next(later), 3000) << "as the server asks";
}

}  // namespace
}  // namespace vdb::store
