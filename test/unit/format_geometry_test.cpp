#include "format/geometry.h"

#include <gtest/gtest.h>

#include "crypto/object_cipher.h"

namespace vdb::format {
namespace {

static_assert(kFrameTagBytes == crypto::kTagBytes);

TEST(Geometry, SizesOfSmallAndLargeObjects) {
  EXPECT_EQ(FrameCount(0), 0u);
  EXPECT_EQ(FrameCount(1), 1u);
  EXPECT_EQ(FrameCount(16384), 1u);
  EXPECT_EQ(FrameCount(16385), 2u);
  EXPECT_EQ(StoredBytes(0), 0u);
  EXPECT_EQ(StoredBytes(1), 17u);
  EXPECT_EQ(StoredBytes(16384), 16400u);
  EXPECT_EQ(StoredBytes(16385), 16417u);
  EXPECT_EQ(StoredBytes(32u << 20), 2048u * 16400);
  EXPECT_EQ(FramePlainBytes(16385, 0), 16384u);
  EXPECT_EQ(FramePlainBytes(16385, 1), 1u);
  EXPECT_EQ(FramePlainBytes(32768, 1), 16384u);
  EXPECT_EQ(StoredFrameOffset(3), 3u * 16400);
}

TEST(Geometry, StoredSizesInvert) {
  for (uint64_t plain = 0; plain < 40000; ++plain) {
    ASSERT_TRUE(IsStoredSize(StoredBytes(plain))) << plain;
    ASSERT_EQ(PlainBytes(StoredBytes(plain)), plain);
  }
}

TEST(Geometry, OtherSizesAreNoObjects) {
  for (uint64_t bytes = 1; bytes <= 16; ++bytes) {
    EXPECT_FALSE(IsStoredSize(bytes));
    EXPECT_FALSE(IsStoredSize(16400 + bytes));
  }
  EXPECT_TRUE(IsStoredSize(0));
  EXPECT_TRUE(IsStoredSize(17));
  EXPECT_TRUE(IsStoredSize(16400));
}

TEST(Geometry, FramesOfARange) {
  EXPECT_EQ(FramesOf(0, 1), (FrameRange{0, 1}));
  EXPECT_EQ(FramesOf(0, 16384), (FrameRange{0, 1}));
  EXPECT_EQ(FramesOf(16383, 1), (FrameRange{0, 1}));
  EXPECT_EQ(FramesOf(16383, 2), (FrameRange{0, 2}));
  EXPECT_EQ(FramesOf(16384, 16385), (FrameRange{1, 2}));
  EXPECT_EQ(FramesOf(40000, 0), (FrameRange{2, 0}));
}

}  // namespace
}  // namespace vdb::format
