#include "engine/memory_index.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "index_samples.h"

namespace vdb::engine {
namespace {

using testing::BruteForce;
using testing::Matrix;
using testing::RecallOf;

// Real sentence embeddings, and other sentences as queries.
class WordNet : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = new Matrix(testing::LoadNpy(VDB_TEST_DATA_DIR "/wordnet-use512-20k.npy"));
    queries_ = new Matrix(testing::LoadNpy(VDB_TEST_DATA_DIR "/wordnet-use512-queries.npy"));
    ASSERT_EQ(base_->rows(), 20000u);
    ASSERT_EQ(queries_->rows(), 500u);
    MemoryIndexOptions options;
    options.metric = Metric::kCosine;
    index_ =
        new MemoryIndex(std::move(MemoryIndex::Build(base_->values, base_->dim, options)).value());
  }
  static void TearDownTestSuite() {
    delete index_;
    delete queries_;
    delete base_;
  }

  static double Recall(const MemoryIndex& index, size_t queries, index::SearchStats* stats) {
    index::Searcher searcher(index.space(), index.layout());
    std::vector<MemoryIndex::Hit> hits;
    double recall = 0;
    for (size_t q = 0; q < queries; ++q) {
      const float* query = queries_->row(q);
      EXPECT_TRUE(index.Search(&searcher, query, 10, {}, &hits).ok());
      recall += RecallOf(hits, BruteForce(index, *base_, query, 10, [](uint32_t) { return true; }));
      stats->exact += searcher.stats().exact;
      stats->rows_scanned += searcher.stats().rows_scanned;
    }
    return recall / static_cast<double>(queries);
  }

  static Matrix* base_;
  static Matrix* queries_;
  static MemoryIndex* index_;
};
Matrix* WordNet::base_;
Matrix* WordNet::queries_;
MemoryIndex* WordNet::index_;

TEST_F(WordNet, CalibratedThetaGivesTheRecallItPromises) {
  index::SearchStats stats;
  EXPECT_GE(Recall(*index_, 200, &stats), .95);
  // A dozen exact distances and a fraction of the table.
  EXPECT_LT(stats.exact, 200u * 20);
  EXPECT_LT(stats.rows_scanned, 200u * 6000);
}

TEST_F(WordNet, OneBitNeedsMoreExactDistances) {
  MemoryIndexOptions options;
  options.metric = Metric::kCosine;
  options.code_bits = 1;
  Result<MemoryIndex> index = MemoryIndex::Build(base_->values, base_->dim, options);
  ASSERT_TRUE(index.ok());
  index::SearchStats stats;
  EXPECT_GE(Recall(*index, 100, &stats), .95);
  EXPECT_GT(stats.exact, 100u * 20);
}

// A filter that rejects most rows: ten still come, and they are those that pass and are nearest.
TEST_F(WordNet, FillsTenThroughAFilter) {
  index::Searcher searcher(index_->space(), index_->layout());
  const index::SegmentView view = index_->view();
  for (const uint32_t one_in : {10u, 100u}) {
    const auto passes = [one_in](uint32_t row) { return row * 2654435761u % one_in == 0; };
    double recall = 0;
    constexpr size_t kQueries = 60;
    for (size_t q = 0; q < kQueries; ++q) {
      const float* query = queries_->row(q);
      searcher.Begin({&view, 1}, query, {});
      std::vector<testing::Emitted> rows;
      const auto exact = [&](index::RowId row) -> std::optional<double> {
        const uint32_t number = index_->MatrixRow(row);
        if (!passes(number)) return std::nullopt;
        return index_->Distance(query, number);
      };
      ASSERT_TRUE(testing::Drain(&searcher, 10, exact, &rows).ok());
      ASSERT_EQ(rows.size(), 10u);
      EXPECT_GT(searcher.stats().rejected, 10u);
      std::vector<MemoryIndex::Hit> hits;
      for (const auto& row : rows) hits.push_back({0, row.distance});
      recall += RecallOf(hits, BruteForce(*index_, *base_, query, 10, passes));
    }
    EXPECT_GE(recall / kQueries, .95) << one_in;
  }
}

TEST(MemoryIndex, RefusesWhatItCannotBuild) {
  const std::vector<float> vectors(10, 1.0f);
  const auto code = [&](std::span<const float> v, uint32_t dim, const MemoryIndexOptions& o) {
    return MemoryIndex::Build(v, dim, o).status().code();
  };
  EXPECT_EQ(code({}, 5, {}), Code::kInvalidArgument);
  EXPECT_EQ(code(vectors, 0, {}), Code::kInvalidArgument);
  EXPECT_EQ(code(vectors, 3, {}), Code::kInvalidArgument);
  MemoryIndexOptions options;
  options.code_bits = 9;
  EXPECT_EQ(code(vectors, 5, options), Code::kInvalidArgument);
  EXPECT_EQ(code(vectors, 5, {}), Code::kOk);
}

TEST(MemoryIndex, LeavesZeroVectorsOutUnderCosine) {
  Matrix base = testing::Clustered(50, 8, 3, 1);
  std::fill_n(base.values.begin() + 8 * 7, 8, 0.0f);
  MemoryIndexOptions options;
  options.metric = Metric::kCosine;
  Result<MemoryIndex> index = MemoryIndex::Build(base.values, 8, options);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->routing().n_rows, 49u);
  index::Searcher searcher(index->space(), index->layout());
  std::vector<MemoryIndex::Hit> hits;
  ASSERT_TRUE(index->Search(&searcher, base.row(0), 100, {}, &hits).ok());
  EXPECT_EQ(hits.size(), 49u);
  for (const auto& hit : hits) EXPECT_NE(hit.row, 7u);
}

}  // namespace
}  // namespace vdb::engine
