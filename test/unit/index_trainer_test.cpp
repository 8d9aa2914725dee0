#include "index/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "index/kmeans.h"
#include "index_samples.h"
#include "simd/distance.h"

namespace vdb::index {
namespace {

AlignedBuffer<float> Points(const testing::Matrix& matrix) {
  AlignedBuffer<float> out(matrix.values.size());
  std::copy(matrix.values.begin(), matrix.values.end(), out.data());
  return out;
}

double MeanDistanceSq(const AlignedBuffer<float>& points, const Centroids& centroids) {
  const size_t n = points.size() / centroids.dim;
  std::vector<uint32_t> labels(n);
  Assigner(centroids).Assign(points.data(), n, labels.data());
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += simd::L2Sq(points.data() + i * centroids.dim, centroids.row(labels[i]), centroids.dim);
  }
  return sum / static_cast<double>(n);
}

TEST(Trainer, FindsTheClusters) {
  // 300 clusters of deviation .5 in 64 dimensions: 16 a point once each has its centroid.
  const AlignedBuffer<float> points = Points(testing::Clustered(20000, 64, 300, 3));
  for (const uint32_t lists : {300u, 100u}) {
    TrainOptions options;
    options.lists = lists;
    Result<Centroids> trained = Train(points.span(), 64, options);
    ASSERT_TRUE(trained.ok());
    EXPECT_EQ(trained->n, lists);
    const double distance = MeanDistanceSq(points, *trained);
    EXPECT_LT(distance, lists == 300 ? 22 : 60) << lists;
    EXPECT_GT(distance, 14) << lists;
  }
}

TEST(Trainer, QuantisesEachCentroidWithAScaleOfItsOwn) {
  const testing::Matrix sample = testing::Clustered(4000, 64, 40, 3);
  TrainOptions options;
  options.lists = 40;
  Result<Centroids> trained = Train(Points(sample).span(), 64, options);
  ASSERT_TRUE(trained.ok());
  for (uint32_t i = 0; i < trained->n; ++i) {
    int largest = 0;
    for (uint32_t j = 0; j < 64; ++j) {
      const int code = trained->codes[i * 64 + j];
      largest = std::max(largest, std::abs(code));
      EXPECT_EQ(trained->row(i)[j], trained->scale[i] * static_cast<float>(code));
    }
    EXPECT_EQ(largest, 127);
  }
  const Centroids copy = CentroidsFromCodes(64, trained->codes.span(), trained->scale);
  EXPECT_EQ(copy.n, trained->n);
  for (size_t i = 0; i < copy.values.size(); ++i) EXPECT_EQ(copy.values[i], trained->values[i]);
}

TEST(Trainer, GivesFewerListsThanDistinctPointsAllow) {
  const testing::Matrix few = testing::Clustered(7, 64, 7, 3);
  testing::Matrix sample{64, {}};
  for (size_t i = 0; i < 700; ++i) {
    sample.values.insert(sample.values.end(), few.row(i % 7), few.row(i % 7) + 64);
  }
  for (const uint32_t lists : {5u, 50u, 200u}) {
    TrainOptions options;
    options.lists = lists;
    Result<Centroids> trained = Train(Points(sample).span(), 64, options);
    ASSERT_TRUE(trained.ok());
    EXPECT_LE(trained->n, std::min(lists, 7u));
    EXPECT_GE(trained->n, std::min(lists, 4u));
  }
  const std::vector<float> zeros(64 * 100, 0.0f);
  TrainOptions options;
  options.lists = 10;
  Result<Centroids> trained = Train(zeros, 64, options);
  ASSERT_TRUE(trained.ok());
  EXPECT_EQ(trained->n, 1u);
  for (uint32_t j = 0; j < 64; ++j) EXPECT_EQ(trained->row(0)[j], 0);
}

TEST(Trainer, RefusesNothingAndStopsWhenAsked) {
  const std::vector<float> points(64 * 10, 1.0f);
  TrainOptions options;
  EXPECT_EQ(Train(points, 64, options).status().code(), Code::kInvalidArgument);
  options.lists = 3;
  EXPECT_EQ(Train({}, 64, options).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Train(points, 63, options).status().code(), Code::kInvalidArgument);
  options.poll.pending = [](void*) noexcept { return true; };
  EXPECT_EQ(Train(points, 64, options).status().code(), Code::kCancelled);
}

TEST(Trainer, IsTheSameForTheSameSeed) {
  const AlignedBuffer<float> points = Points(testing::Clustered(5000, 64, 150, 3));
  TrainOptions options;
  options.lists = 150;
  Result<Centroids> first = Train(points.span(), 64, options);
  Result<Centroids> second = Train(points.span(), 64, options);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(std::equal(first->codes.span().begin(), first->codes.span().end(),
                         second->codes.span().begin(), second->codes.span().end()));
}

TEST(Assigner, TakesTheNearestOrTheBestDirection) {
  const AlignedBuffer<float> points = Points(testing::Clustered(1000, 64, 20, 3));
  TrainOptions options;
  options.lists = 25;
  Result<Centroids> trained = Train(points.span(), 64, options);
  ASSERT_TRUE(trained.ok());
  std::vector<uint32_t> labels(1000);
  Assigner(*trained).Assign(points.data(), 1000, labels.data());
  for (size_t i = 0; i < 1000; ++i) {
    const auto score = [&](uint32_t c) {
      return double{simd::L2Sq(points.data() + i * 64, trained->row(c), 64)};
    };
    double best = score(0);
    for (uint32_t c = 1; c < trained->n; ++c) best = std::min(best, score(c));
    EXPECT_NEAR(score(labels[i]), best, 1e-4 * best) << i;
  }
}

// Neighbours in storage order are near each other, in one chain and in cells.
TEST(ChainOrder, PutsNeighboursSideBySide) {
  for (const uint32_t n : {500u, kChainLimit + 300}) {
    const testing::Matrix sample = testing::Clustered(n, 64, 60, 3);
    const PointsView centroids{sample.values.data(), n, 64};
    std::vector<uint32_t> cells(n);
    for (uint32_t i = 0; i < n; ++i) cells[i] = i % 90;
    Result<std::vector<uint32_t>> order = ChainOrder(centroids, cells, {});
    ASSERT_TRUE(order.ok());
    EXPECT_EQ(std::set<uint32_t>(order->begin(), order->end()).size(), n);
    double chained = 0, given = 0;
    for (uint32_t i = 1; i < n; ++i) {
      chained += simd::L2Sq(centroids.row((*order)[i]), centroids.row((*order)[i - 1]), 64);
      given += simd::L2Sq(centroids.row(i), centroids.row(i - 1), 64);
    }
    EXPECT_LT(chained, .7 * given) << n;
  }
}

TEST(Trainer, MakesListsOf288Rows) {
  EXPECT_EQ(AutomaticLists(0), 1u);
  EXPECT_EQ(AutomaticLists(100), 1u);
  EXPECT_EQ(AutomaticLists(330000), 1146u);
}

}  // namespace
}  // namespace vdb::index
