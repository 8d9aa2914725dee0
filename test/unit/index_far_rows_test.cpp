/// Rows far from the query: where a filter or a long result leads in data of few, tight clusters.
/// There theta, which is calibrated for the ten nearest, comes out below zero and must not decide
/// about other clusters.
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

TEST(FarRows, AreFoundThroughAFilter) {
  const uint64_t seed = 11;
  SCOPED_TRACE(seed);
  const Matrix base = TightClusters(20000, seed);
  Result<MemoryIndex> built = MemoryIndex::Build(base.values, kDim, {});
  ASSERT_TRUE(built.ok()) << built.status().message();
  const MemoryIndex index = std::move(built).value();
  ASSERT_LT(index.routing().calibration.theta, 0.1f) << "no longer such data";

  Searcher searcher(index.space(), index.layout());
  double recall = 0;
  const int queries = 20;
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
  EXPECT_GE(recall / queries, 0.95);
}

}  // namespace
}  // namespace vdb::index
