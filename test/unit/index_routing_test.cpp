#include "index/routing.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/aligned.h"
#include "base/random.h"

namespace vdb::index {
namespace {

struct Sample {
  explicit Sample(uint32_t n, uint32_t dim = 128) {
    SplitMix64 random(n);
    centroids.resize(size_t{n} * dim);
    for (int8_t& c : centroids) c = static_cast<int8_t>(random.Below(255));
    for (uint32_t i = 0; i < n; ++i) {
      scale.push_back(.01f * static_cast<float>(i + 1));
      radius.push_back(.5f + static_cast<float>(i));
      lists.push_back({i / 3, i + 7, i * 64, i * 100, i * 32});
    }
    source = {dim, centroids, scale, radius, lists, {}};
    source.calibration.theta = .75f;
    source.calibration.queries = 12;
  }
  std::vector<int8_t> centroids;
  std::vector<float> scale, radius;
  std::vector<ListEntry> lists;
  RoutingSource source;
};

TEST(Routing, ImageHoldsWhatWasWritten) {
  for (const uint32_t n : {0u, 1u, 16u, 33u}) {
    const Sample sample(n);
    AlignedBuffer<uint8_t> image(RoutingImageBytes(n, 128));
    EXPECT_EQ(image.size() % 64, 0u);
    ASSERT_TRUE(WriteRoutingImage(sample.source, image.span()).ok());
    // An image is relocatable.
    AlignedBuffer<uint8_t> copy(image.size());
    std::copy(image.data(), image.data() + image.size(), copy.data());
    image = AlignedBuffer<uint8_t>();
    const Routing routing = ViewRoutingImage(copy.data());
    ASSERT_EQ(routing.n_lists, n);
    EXPECT_EQ(routing.dim, 128u);
    EXPECT_EQ(routing.calibration.theta, .75f);
    EXPECT_EQ(routing.calibration.queries, 12u);
    uint64_t rows = 0;
    for (uint32_t i = 0; i < n; ++i) {
      double norm_sq = 0;
      for (uint32_t j = 0; j < 128; ++j) {
        const int8_t code = sample.centroids[i * 128 + j];
        EXPECT_EQ(routing.rows[i * 128 + j], code);
        EXPECT_EQ(routing.interleaved[(i / 16 * 128 + j / 4 * 4) * 16 + i % 16 * 4 + j % 4], code);
        norm_sq += static_cast<double>(code) * code * sample.scale[i] * sample.scale[i];
      }
      EXPECT_NEAR(routing.norm_sq[i], norm_sq, 1e-5 * norm_sq);
      EXPECT_EQ(routing.scale[i], sample.scale[i]);
      EXPECT_EQ(routing.radius[i], sample.radius[i]);
      EXPECT_EQ(routing.lists[i].object, i / 3);
      EXPECT_EQ(routing.lists[i].b_offset, i * 100);
      rows += routing.lists[i].rows;
    }
    EXPECT_EQ(routing.n_rows, rows);
  }
}

TEST(Routing, RefusesSizesThatDoNotFit) {
  AlignedBuffer<uint8_t> image(RoutingImageBytes(5, 128));
  const auto code = [&](const RoutingSource& source, std::span<uint8_t> out) {
    return WriteRoutingImage(source, out).code();
  };
  const Sample sample(5);
  EXPECT_EQ(code(sample.source, image.span()), Code::kOk);
  RoutingSource bad = sample.source;
  bad.dim = 64;
  EXPECT_EQ(code(bad, image.span()), Code::kInvalidArgument);
  bad = sample.source;
  bad.scale = bad.scale.first(4);
  EXPECT_EQ(code(bad, image.span()), Code::kInvalidArgument);
  bad = sample.source;
  bad.radius = bad.radius.first(4);
  EXPECT_EQ(code(bad, image.span()), Code::kInvalidArgument);
  EXPECT_EQ(code(sample.source, image.span().first(image.size() - 64)), Code::kInvalidArgument);
}

}  // namespace
}  // namespace vdb::index
