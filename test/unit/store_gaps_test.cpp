/// Which gaps between wanted pieces of objects are read along.
#include "store/gaps.h"

#include <gtest/gtest.h>

namespace vdb::store {
namespace {

// Requests for one object of these gaps, and what is read along.
struct Read {
  size_t requests;
  uint32_t along;
  bool operator==(const Read&) const = default;
};
Read ReadOf(const std::vector<uint32_t>& gaps, uint32_t always, uint32_t largest, size_t most) {
  Gaps chosen(gaps.size() + 1, gaps, always, largest, most);
  Read read{gaps.size() + 1, 0};
  for (const uint32_t gap : gaps) {
    if (!chosen.Reads(gap)) continue;
    --read.requests;
    read.along += gap;
  }
  return read;
}

TEST(Gaps, SmallOnesAlways) {
  EXPECT_EQ(ReadOf({0, 1, 3, 4, 9}, 3, 8, 64), (Read{3, 4}));
  EXPECT_EQ(ReadOf({}, 3, 8, 64), (Read{1, 0}));
}

TEST(Gaps, LargerOnesWhereRequestsWouldWait) {
  const std::vector<uint32_t> gaps{7, 100, 5, 1, 6, 5, 5};
  EXPECT_EQ(ReadOf(gaps, 3, 8, 7), (Read{7, 1}));
  EXPECT_EQ(ReadOf(gaps, 3, 8, 6), (Read{6, 6})) << "one of the smallest";
  EXPECT_EQ(ReadOf(gaps, 3, 8, 5), (Read{5, 11}));
  EXPECT_EQ(ReadOf(gaps, 3, 8, 3), (Read{3, 22}));
}

TEST(Gaps, NoneTooLarge) {
  EXPECT_EQ(ReadOf({7, 100, 5, 1, 9}, 3, 8, 1), (Read{3, 13}));
  EXPECT_EQ(ReadOf({100, 200}, 3, 8, 1), (Read{3, 0}));
}

TEST(Gaps, MoreObjectsThanRequests) {
  Gaps chosen(5, {}, 3, 8, 2);
  EXPECT_FALSE(chosen.Reads(4));
}

}  // namespace
}  // namespace vdb::store
