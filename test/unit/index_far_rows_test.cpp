/// Where the probing rule is stretched: queries, rows and ranks that are unlike the calibration's,
/// which asks for the ten nearest of rows of the table.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace vdb::index
