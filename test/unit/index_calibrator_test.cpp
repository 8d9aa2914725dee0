#include "index/calibrator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "index_samples.h"

namespace vdb::index {
namespace {

using engine::MemoryIndex;
using engine::MemoryIndexOptions;
using testing::BruteForce;
using testing::Matrix;
using testing::RecallOf;

// Held-out queries and the rows before them from one mixture.
struct Split {
  Matrix base, queries;
};
Split MakeSplit() {
  Matrix all = testing::Clustered(12100, 96, 400, 77);
  Split split{all, {96, {all.row(12000), all.row(12100)}}};
  split.base.values.resize(size_t{12000} * 96);
  return split;
}

class CalibratorMetrics : public ::testing::TestWithParam<Metric> {};

// Theta from the table's own rows holds for queries from elsewhere, for low targets and high ones.
TEST_P(CalibratorMetrics, ReachesTheRecallItWasAskedFor) {
  const Split split = MakeSplit();
  float previous_theta = -1e9f, previous_lists = 0;
  for (const float target : {.8f, .95f}) {
    MemoryIndexOptions options;
    options.metric = GetParam();
    options.lists = 60;
    options.recall_target = target;
    Result<MemoryIndex> index = MemoryIndex::Build(split.base.values, 96, options);
    ASSERT_TRUE(index.ok());
    const Calibration& c = index->routing().calibration;
    EXPECT_EQ(c.recall_target, target);
    EXPECT_EQ(c.queries, 1000u);
    EXPECT_GT(c.theta, previous_theta);
    EXPECT_GE(c.mean_lists, previous_lists);
    EXPECT_GE(c.p80_lists, c.mean_lists * .5f);
    EXPECT_GT(c.mean_rows, c.mean_lists);
    EXPECT_GT(c.reach, 0);
    EXPECT_LT(c.reach, c.theta);
    EXPECT_NEAR(c.measured_recall, target + .015f, .03f);
    previous_theta = c.theta;
    previous_lists = c.mean_lists;

    Searcher searcher(index->space(), index->layout());
    std::vector<MemoryIndex::Hit> hits;
    double recall = 0;
    uint64_t lists = 0;
    for (size_t q = 0; q < 100; ++q) {
      const float* query = split.queries.row(q);
      ASSERT_TRUE(index->Search(&searcher, query, 10, {}, &hits).ok());
      lists += searcher.stats().lists;
      recall +=
          RecallOf(hits, BruteForce(*index, split.base, query, 10, [](uint32_t) { return true; }));
    }
    EXPECT_GE(recall / 100, target - .03) << target;
    EXPECT_NEAR(static_cast<double>(lists) / 100, c.mean_lists, .5 * c.mean_lists + 3);
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, CalibratorMetrics,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                                           Metric::kL1));

TEST(Calibrator, MeasuresTheRatioOfL1ToL2) {
  const Split split = MakeSplit();
  MemoryIndexOptions options;
  options.metric = Metric::kL1;
  Result<MemoryIndex> index = MemoryIndex::Build(split.base.values, 96, options);
  ASSERT_TRUE(index.ok());
  const Calibration& c = index->routing().calibration;
  // sqrt(2 D / pi) for differences that are Gaussian.
  const double expected = std::sqrt(2 * 96 / 3.14159);
  EXPECT_GT(c.l1_ratio_low, .8 * expected);
  EXPECT_LT(c.l1_ratio_low, expected);
  EXPECT_GT(c.l1_ratio_high, expected);
  EXPECT_LT(c.l1_ratio_high, 1.2 * expected);
}

TEST(Calibrator, HasADefaultWithoutQueries) {
  const Split split = MakeSplit();
  MemoryIndexOptions options;
  options.calibration_queries = 0;
  Result<MemoryIndex> index = MemoryIndex::Build(split.base.values, 96, options);
  ASSERT_TRUE(index.ok());
  const Calibration& c = index->routing().calibration;
  EXPECT_EQ(c.queries, 0u);
  EXPECT_LT(c.measured_recall, 0);
  EXPECT_GT(c.theta, 0);
  EXPECT_EQ(c.reach, 0);
  EXPECT_EQ(c.l1_ratio_low, 1);
}

// A query that found itself would need no list but its own, and theta would come out too small.
TEST(Calibrator, LeavesTheQueryItselfOut) {
  const Matrix base = testing::Clustered(400, 64, 4, 5);
  const Space space(Metric::kL2, quant::Rotation::Random(64, 1), {});
  const quant::CodeLayout layout{64, 5};
  const quant::Encoder encoder(layout, space.estimator());
  const std::vector<int8_t> codes(64, 0);
  const AlignedBuffer<float> centroid(64);
  AlignedBuffer<float> point(64);
  // One row alone, a hundred times as its own query under its id and under another.
  std::vector<uint8_t> row(layout.row_bytes());
  space.Data(base.row(0), point.data());
  encoder.Encode(point.data(), centroid.data(), row.data());
  AlignedBuffer<uint8_t> block(layout.block_bytes());
  quant::PackBlock(layout, row.data(), row.size(), 1, block.data());
  const uint64_t id = 42;
  const EncodedList list{codes.data(), 1, 1, 1, block.data(), row.data() + layout.first_bytes(),
                         &id};
  for (const uint64_t query_id : {uint64_t{42}, uint64_t{43}}) {
    Calibrator calibrator(space, layout, {base.row(0), 64}, {&query_id, 1}, 1e36f);
    ASSERT_TRUE(calibrator.AddList(list, {}).ok());
    EXPECT_EQ(calibrator.Finish(.95f).queries, query_id == 42 ? 0u : 1u);
  }
}

}  // namespace
}  // namespace vdb::index
