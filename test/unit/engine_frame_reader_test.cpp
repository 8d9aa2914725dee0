#include "engine/frame_reader.h"

#include <gtest/gtest.h>

#include <deque>

#include "format_samples.h"
#include "store_fixtures.h"

namespace vdb::engine {
namespace {

constexpr FrameReader::Limits kLimits = {4 << 20, 64, 10'000};

class FrameReaderTest : public testing::Test {
 protected:
  /// An object of so many frames, the last one shorter, in the store.
  const StoredObject* Put(const std::string& name, size_t frames) {
    const store::Bytes plain =
        store::RandomBytes(frames + name.size(), frames * format::kFrameBytes - 100);
    auto cipher = crypto::ObjectCipher::Unencrypted(crypto::RandomObjectNonce().value());
    const store::Bytes sealed = format::SealObject(cipher, plain);
    const store::ObjectRef ref = store::RefOf(name, sealed);
    EXPECT_TRUE(store::PutOne(store_, ref, sealed).ok());
    objects_.push_back({ref, plain.size(), std::move(cipher)});
    plain_[&objects_.back()] = plain;
    return &objects_.back();
  }

  /// Reads frames of objects and compares them.
  Status Read(const std::vector<std::pair<const StoredObject*, uint32_t>>& frames,
              const FrameReader::Limits& limits = kLimits) {
    std::vector<store::Bytes> targets(frames.size(), store::Bytes(format::kFrameBytes));
    std::vector<StoredFrame> wanted;
    for (size_t i = 0; i < frames.size(); ++i) {
      wanted.push_back({frames[i].first, frames[i].second, targets[i].data()});
    }
    reads_ = {};
    FrameReader reader(&store_, limits, [](const StoredFrame& frame) {
      return Corruption("frame " + std::to_string(frame.frame) + " of " + frame.object->ref.name);
    });
    const Status status = reader.Read(wanted, &reads_);
    for (size_t i = 0; status.ok() && i < frames.size(); ++i) {
      const store::Bytes& plain = plain_[frames[i].first];
      const size_t begin = size_t{frames[i].second} * format::kFrameBytes;
      const size_t bytes = format::FramePlainBytes(plain.size(), frames[i].second);
      EXPECT_TRUE(std::equal(targets[i].begin(), targets[i].begin() + static_cast<ptrdiff_t>(bytes),
                             plain.begin() + static_cast<ptrdiff_t>(begin)))
          << i;
    }
    return status;
  }

  store::MemoryStore store_{"archive"};
  std::deque<StoredObject> objects_;
  std::map<const StoredObject*, store::Bytes> plain_;
  FrameReader::Reads reads_;
};

TEST_F(FrameReaderTest, NeighboursComeInOneRequest) {
  const StoredObject *a = Put("a", 40), *b = Put("b", 3);
  ASSERT_TRUE(Read({{a, 0}, {a, 1}, {a, 2}, {b, 0}, {b, 2}}).ok());
  EXPECT_EQ(reads_.requests, 2u);
  EXPECT_EQ(reads_.rounds, 1u);
  EXPECT_EQ(reads_.bytes, 6 * format::kStoredFrameBytes - 100) << "and a gap of one";
  ASSERT_TRUE(Read({{a, 0}, {a, 4}, {a, 9}, {a, 39}}).ok());
  EXPECT_EQ(reads_.requests, 3u) << "three frames between two are a small gap, four are not";
  // Unless one request would have to wait for another.
  ASSERT_TRUE(Read({{a, 0}, {a, 4}, {a, 9}, {a, 39}}, {4 << 20, 2, 10'000}).ok());
  EXPECT_EQ(reads_.requests, 2u);
  ASSERT_TRUE(Read({}).ok());
  EXPECT_EQ(reads_.rounds, 0u);
}

TEST_F(FrameReaderTest, RangesAndRoundsAreBounded) {
  const StoredObject* a = Put("a", 2100);
  std::vector<std::pair<const StoredObject*, uint32_t>> all;
  for (uint32_t frame = 0; frame < 2100; ++frame) all.emplace_back(a, frame);
  ASSERT_TRUE(Read(all).ok());
  EXPECT_EQ(reads_.rounds, 2u) << "of 32 MB";
  EXPECT_EQ(reads_.requests, 10u) << "of 4 MB, and one that the end of a round cuts";
  EXPECT_EQ(reads_.bytes, a->ref.size);
}

TEST_F(FrameReaderTest, AFrameThatDoesNotOpenIsNamed) {
  const StoredObject *a = Put("a", 3), *b = Put("b", 3);
  (*store_.Bytes("b"))[format::kStoredFrameBytes + 5] ^= 1;
  EXPECT_TRUE(Read({{a, 1}, {b, 0}, {b, 2}}).ok()) << "a gap is read, but not opened";
  const Status status = Read({{a, 1}, {b, 0}, {b, 1}});
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_NE(status.message().find("frame 1 of b"), std::string::npos) << status.message();
  EXPECT_TRUE(Read({{a, 1}, {b, 2}}).ok());
}

}  // namespace
}  // namespace vdb::engine
