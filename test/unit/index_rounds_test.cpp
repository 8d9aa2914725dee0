/// Rounds that end short because a bound was wrong: the search goes a little farther, not four
/// times as far. Exact distances come from the caller, so the tests say what they like.
#include <gtest/gtest.h>

#include "index_samples.h"

namespace vdb::index {
namespace {

using engine::MemoryIndex;
using testing::Matrix;

constexpr uint64_t kSeed = 4711;

class Rounds : public ::testing::Test {
 protected:
  Rounds() : base_(testing::Clustered(4000, 16, 1, kSeed)) {
    engine::MemoryIndexOptions options;
    options.lists = 80;
    index_ = std::make_unique<MemoryIndex>(
        std::move(MemoryIndex::Build(base_.values, base_.dim, options)).value());
    searcher_ = std::make_unique<Searcher>(index_->space(), index_->layout());
  }

  /// Distances of the first `limit` rows out. say(true distance, rows out so far) is what the
  /// search is told.
  template <class Say>
  std::vector<double> Search(size_t limit, const Say& say) {
    const float* query = base_.row(17);
    const SegmentView view = index_->view();
    searcher_->Begin({&view, 1}, query, {});
    std::vector<double> out;
    while (out.size() < limit) {
      Searcher::Step step;
      RowId row;
      double distance;
      EXPECT_TRUE(searcher_->Next(&step, &row, &distance).ok());
      if (step == Searcher::Step::kDone) break;
      if (step == Searcher::Step::kRow) {
        out.push_back(distance);
      } else {
        searcher_->SetExact(say(index_->Distance(query, index_->MatrixRow(row)), out.size()));
      }
    }
    return out;
  }
  /// Whether the last search looked little farther than the one before. A round for four times the
  /// rows takes more than twice the candidates.
  bool WentALittleFarther(uint64_t survivors_before) const {
    return stats().rounds > 1 && stats().survivors < survivors_before * 3 / 2;
  }
  const SearchStats& stats() const { return searcher_->stats(); }

  Matrix base_;
  std::unique_ptr<MemoryIndex> index_;
  std::unique_ptr<Searcher> searcher_;
};

TEST_F(Rounds, OneIsEnoughWhereBoundsAreRight) {
  EXPECT_EQ(Search(10, [](double d, size_t) { return d; }).size(), 10u);
  EXPECT_EQ(stats().rounds, 1u);
  EXPECT_LT(stats().exact, 20u);
}

TEST_F(Rounds, QuadrupleForALongerResult) {
  EXPECT_EQ(Search(150, [](double d, size_t) { return d; }).size(), 150u);
  EXPECT_EQ(stats().rounds, 3u);  // 10, 40, 160
}

TEST_F(Rounds, AreRepeatedWhereUpperBoundsWereWrong) {
  const std::vector<double> honest = Search(13, [](double d, size_t) { return d; });
  Search(10, [](double d, size_t) { return d; });
  const uint64_t survivors = stats().survivors;
  // The second to the fourth are said to be far away: seven of the ten are left.
  const auto rows =
      Search(10, [&](double d, size_t) { return d > honest[0] && d <= honest[3] ? d + 100 : d; });
  ASSERT_EQ(rows.size(), 10u);
  EXPECT_EQ(rows[0], honest[0]);
  for (size_t i = 1; i < 10; ++i) EXPECT_EQ(rows[i], honest[i + 3]) << i;
  EXPECT_TRUE(WentALittleFarther(survivors)) << stats().rounds << " " << stats().survivors;
}

TEST_F(Rounds, AreRepeatedForARowMoreWhereverOneWasLate) {
  const std::vector<double> honest = Search(13, [](double d, size_t) { return d; });
  Search(10, [](double d, size_t) { return d; });
  const uint64_t survivors = stats().survivors;
  int late = 0;
  const auto rows =
      Search(10, [&](double d, size_t out) { return out >= 5 && late++ < 3 ? honest[1] : d; });
  ASSERT_EQ(rows.size(), 10u);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(stats().late, 3u);
  EXPECT_EQ(rows.back(), honest[12]);
  EXPECT_TRUE(WentALittleFarther(survivors)) << stats().rounds << " " << stats().survivors;
}

// Every round ends short here. Repeating each would take a round for a few rows, some hundred in
// all.
TEST_F(Rounds, GrowAllTheSameWhereNoBoundIsRight) {
  const auto rows = Search(base_.rows(), [](double d, size_t) { return d + 100; });
  EXPECT_EQ(rows.size() + stats().late, base_.rows());
  EXPECT_LT(stats().rounds, 40u);
}

}  // namespace
}  // namespace vdb::index
