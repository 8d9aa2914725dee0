/// Where the probing rule is stretched: queries, rows and ranks that are unlike the calibration's,
/// which asks for the ten nearest of rows of the table.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "engine/memory_index.h"
#include "index/searcher.h"
#include "index_samples.h"

namespace vdb::index {
namespace {

using engine::MemoryIndex;
using vdb::testing::BruteForce;
using vdb::testing::Matrix;
using vdb::testing::RecallOf;

constexpr uint32_t kClusters = 10;
constexpr uint32_t kDim = 128;

/// Row i belongs to cluster i % kClusters.
Matrix TightClusters(uint32_t rows, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> centres(size_t{kClusters} * kDim);
  for (float& x : centres) x = static_cast<float>(2 * random.Unit() - 1);
  Matrix out{kDim, std::vector<float>(size_t{rows} * kDim)};
  for (size_t i = 0; i < out.values.size(); ++i) {
    const size_t cluster = i / kDim % kClusters;
    out.values[i] = centres[cluster * kDim + i % kDim] + static_cast<float>(random.Unit()) - 0.5f;
  }
  return out;
}

MemoryIndex BuildIndex(const Matrix& base, const engine::MemoryIndexOptions& options) {
  return std::move(MemoryIndex::Build(base.values, base.dim, options)).value();
}

constexpr auto kAll = [](uint32_t) { return true; };

// Mean recall at rank k for the first `n` rows of `queries`, times `scale`.
double Recall(const MemoryIndex& index, const Matrix& base, const Matrix& queries, size_t n,
              float scale, size_t k) {
  Searcher searcher(index.space(), index.layout());
  std::vector<MemoryIndex::Hit> hits;
  std::vector<float> query(base.dim);
  double recall = 0;
  for (size_t q = 0; q < n; ++q) {
    for (uint32_t j = 0; j < base.dim; ++j) query[j] = scale * queries.row(q)[j];
    EXPECT_TRUE(index.Search(&searcher, query.data(), k, {}, &hits).ok());
    recall += RecallOf(hits, BruteForce(index, base, query.data(), k, kAll));
  }
  return recall / static_cast<double>(n);
}

TEST(FarRows, AreFoundThroughAFilter) {
  const Matrix base = TightClusters(20000, 11);
  const MemoryIndex index = BuildIndex(base, {});
  Searcher searcher(index.space(), index.layout());
  double recall = 0;
  const int queries = 60;
  for (int q = 0; q < queries; ++q) {
    const auto own = static_cast<uint32_t>(q * 31);
    const auto keep = [&](uint32_t row) { return row % kClusters == (own + 7) % kClusters; };
    const SegmentView view = index.view();
    searcher.Begin({&view, 1}, base.row(own), {});
    std::vector<MemoryIndex::Hit> found;
    while (found.size() < 10) {
      Searcher::Step step;
      RowId row;
      double distance;
      ASSERT_TRUE(searcher.Next(&step, &row, &distance).ok());
      if (step == Searcher::Step::kDone) break;
      const uint32_t matrix_row = index.MatrixRow(row);
      if (step == Searcher::Step::kNeedExact) {
        searcher.SetExact(index.Distance(base.row(own), matrix_row));
      } else if (keep(matrix_row)) {
        found.push_back({matrix_row, distance});
      }
    }
    EXPECT_EQ(found.size(), 10u);
    recall += RecallOf(found, BruteForce(index, base, base.row(own), 10, keep));
  }
  EXPECT_GE(recall / queries, 0.93);
}

// From outside of the data distances within a list differ by more than from inside.
TEST(FarRows, AreFoundByQueriesFarOut) {
  const Matrix base = testing::LoadNpy(VDB_TEST_DATA_DIR "/wordnet-use512-20k.npy");
  const Matrix queries = testing::LoadNpy(VDB_TEST_DATA_DIR "/wordnet-use512-queries.npy");
  ASSERT_EQ(queries.rows(), 500u);
  const MemoryIndex index = BuildIndex(base, {});
  EXPECT_GE(Recall(index, base, queries, 100, 1, 10), .95);
  EXPECT_GE(Recall(index, base, queries, 100, 1.3f, 10), .91);
  EXPECT_GE(Recall(index, base, queries, 100, 2, 10), .92);
  EXPECT_GE(Recall(index, base, queries, 100, 10, 10), .95);

  const Matrix clusters = TightClusters(20000, 12);
  const MemoryIndex tight = BuildIndex(clusters, {});
  EXPECT_GE(Recall(tight, clusters, clusters, 60, 10, 10), .95);
}

// Where clusters are many to a list, the ten nearest are mostly in the query's own list: theta must
// be enough for the others all the same.
TEST(FarRows, AreFoundByLongResults) {
  const Matrix base = testing::Clustered(12000, 96, 200, 13);
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    engine::MemoryIndexOptions options;
    options.metric = metric;
    const MemoryIndex index = BuildIndex(base, options);
    EXPECT_GE(Recall(index, base, base, 20, 1, 100), .95) << static_cast<int>(metric);
    EXPECT_GE(Recall(index, base, base, 10, 1, 1000), .95) << static_cast<int>(metric);
  }
}

// Rows on a line have one code and its reverse, and in few dimensions many of its coordinates are
// rounded alike: what is wrong with one row's bound is wrong with those of half a list.
TEST(RowsOnALine, AreFoundInFewDimensions) {
  constexpr uint32_t kRows = 10000;
  for (const uint32_t dim : {2u, 3u}) {
    Matrix base{dim, {}};
    for (uint32_t i = 1; i <= kRows; ++i) {
      const auto x = static_cast<float>(i);
      for (uint32_t j = 0; j < dim; ++j) base.values.push_back(j == 1 ? -x : x);
    }
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      engine::MemoryIndexOptions options;
      options.seed = seed;
      options.code_bits = seed % 2 == 0 ? 8 : 5;
      const MemoryIndex index = BuildIndex(base, options);
      Searcher searcher(index.space(), index.layout());
      SearchOptions all_lists;
      all_lists.probes = kRows;
      std::vector<MemoryIndex::Hit> hits;
      for (uint32_t row = 6; row < kRows; row += 53) {
        ASSERT_TRUE(index.Search(&searcher, base.row(row), 1, all_lists, &hits).ok());
        EXPECT_EQ(hits.at(0).row, row) << dim << " dimensions, seed " << seed;
      }
    }
  }
}

// Two rows far off a line of rows make the radius of their list large. It must not put the list
// behind others, even with the least theta there is.
TEST(FarRows, AreFoundOffALine) {
  Matrix base{2, {}};
  for (int i = 1; i <= 3000; ++i) base.values.insert(base.values.end(), {static_cast<float>(i), 0});
  base.values.insert(base.values.end(), {6000, 0, 7000, 0});
  const float query[] = {6500, 0};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    engine::MemoryIndexOptions options;
    options.seed = seed;
    MemoryIndex index = BuildIndex(base, options);
    Searcher searcher(index.space(), index.layout());
    std::vector<MemoryIndex::Hit> hits;
    for (const bool least : {false, true}) {
      if (least) index.set_theta(0);
      ASSERT_TRUE(index.Search(&searcher, query, 10, {}, &hits).ok());
      EXPECT_EQ(RecallOf(hits, BruteForce(index, base, query, 10, kAll)), 1) << seed;
    }
  }
}

// Two rows far away, in the lists of others, whose centroids they pull away and whose radii they
// make larger than anything.
TEST(FarRows, DoNotHideTheOthersOfTheirList) {
  SplitMix64 random(21);
  constexpr uint32_t kFewDim = 33;
  Matrix base{kFewDim, std::vector<float>(size_t{2502} * kFewDim)};
  for (float& x : base.values) x = static_cast<float>(random.Unit());
  for (uint32_t j = 0; j < kFewDim; ++j) {
    base.values[size_t{2500} * kFewDim + j] = 65504;
    base.values[size_t{2501} * kFewDim + j] = -65504;
  }
  for (const Metric metric : {Metric::kL2, Metric::kL1}) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      engine::MemoryIndexOptions options;
      options.metric = metric;
      options.code_bits = 3;
      options.seed = seed;
      const MemoryIndex index = BuildIndex(base, options);
      EXPECT_GE(Recall(index, base, base, 20, 1, 10), .95)
          << static_cast<int>(metric) << " " << seed;
    }
  }
}

// Rows whose squares, or whose rotation, leave the range of float: they have no estimates, and must
// spoil neither means and centroids nor what was calibrated for the others.
class HugeRows : public ::testing::TestWithParam<std::tuple<Metric, uint32_t>> {};

TEST_P(HugeRows, LeaveTheOthersToBeFound) {
  const auto [metric, bits] = GetParam();
  constexpr uint32_t kFewDim = 16, kOrdinary = 3000;
  Matrix all = testing::Clustered(kOrdinary + 60, kFewDim, 30, 31);
  Matrix queries{kFewDim, {all.row(kOrdinary), all.row(kOrdinary) + size_t{60} * kFewDim}};
  all.values.resize(size_t{kOrdinary} * kFewDim);
  for (const bool one : {true, false}) {
    Matrix base = all;
    // One row of 3e38, or twenty up to 1e19.
    if (one) base.values.insert(base.values.end(), kFewDim, 3e38f);
    for (int i = 0; !one && i < 20; ++i) {
      for (uint32_t j = 0; j < kFewDim; ++j)
        base.values.push_back(all.row(i)[j] * std::pow(10.0f, .95f * static_cast<float>(i + 1)));
    }
    engine::MemoryIndexOptions options;
    options.metric = metric;
    options.code_bits = bits;
    const MemoryIndex index = BuildIndex(base, options);
    const Calibration& c = index.routing().calibration;
    EXPECT_GE(c.queries, 900u);
    EXPECT_GE(c.theta, 0);
    EXPECT_GE(c.near_ratio, 0);
    EXPECT_GT(c.l1_ratio_low, 0);
    for (const float value : {c.theta, c.near_ratio, c.l1_ratio_low, c.l1_ratio_high, c.reach,
                              c.mean_lists, c.p80_lists, c.mean_rows})
      EXPECT_TRUE(std::isfinite(value)) << value;
    EXPECT_GE(c.measured_recall, .9);
    for (uint32_t list = 0; list < index.routing().n_lists; ++list) {
      EXPECT_TRUE(std::isfinite(index.routing().radius[list]));
      EXPECT_TRUE(std::isfinite(index.routing().scale[list]));
    }
    // The one's list is always scanned; with twenty all ten may be.
    EXPECT_LT(c.mean_rows, kOrdinary * (one ? .75 : 1.));
    EXPECT_GE(Recall(index, base, queries, 60, 1, 40), .93);
    // The huge rows, asked for.
    if (metric == Metric::kL2 || metric == Metric::kL1) {
      Searcher searcher(index.space(), index.layout());
      std::vector<MemoryIndex::Hit> hits;
      for (uint32_t row = kOrdinary; row < base.rows(); ++row) {
        ASSERT_TRUE(index.Search(&searcher, base.row(row), 1, {}, &hits).ok());
        ASSERT_EQ(hits.size(), 1u);
        EXPECT_EQ(hits[0].row, row);
      }
    }
    // Every row comes in the end.
    Searcher searcher(index.space(), index.layout());
    std::vector<MemoryIndex::Hit> hits;
    SearchOptions relaxed;
    relaxed.relaxed_order = true;
    ASSERT_TRUE(index.Search(&searcher, queries.row(0), base.rows(), relaxed, &hits).ok());
    EXPECT_EQ(hits.size(), base.rows());
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, HugeRows,
                         ::testing::Combine(::testing::Values(Metric::kL2, Metric::kInnerProduct,
                                                              Metric::kCosine, Metric::kL1),
                                            ::testing::Values(1u, 5u)));

}  // namespace
}  // namespace vdb::index
