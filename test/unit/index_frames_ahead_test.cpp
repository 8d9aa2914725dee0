/// What a search says it will read next, to a reader that is far away: four searches in five need
/// one round of reads, and none more than two.
#include <gtest/gtest.h>

#include <set>

#include "index_samples.h"

namespace vdb::index {
namespace {

using engine::MemoryIndex;
using testing::Matrix;

constexpr uint64_t kSeed = 90125;
constexpr size_t kQueries = 200;
using Frame = std::pair<uint32_t, uint32_t>;

/// Has no frame at first. What is missing costs a round, in which what is ahead comes along: as
/// many frames as it has room for.
class FarReader : public SegmentReader {
 public:
  explicit FarReader(SegmentReader* reader, size_t room = SIZE_MAX)
      : reader_(reader), room_(room) {}

  size_t rounds() const { return rounds_; }
  size_t frames() const { return frames_; }
  /// Those that the search has pinned.
  size_t needed() const { return needed_.size(); }

  Status Pin(std::span<const FrameRef> frames, const uint8_t** addresses) override {
    std::set<Frame> wanted;
    for (const FrameRef& frame : frames) {
      needed_.insert({frame.object, frame.frame});
      if (!here_.contains({frame.object, frame.frame})) wanted.insert({frame.object, frame.frame});
    }
    if (!wanted.empty()) {
      std::vector<FrameRef> all;
      ahead_->FramesOf(0, &all);
      const size_t most = std::max(room_, wanted.size());
      for (size_t i = 0; i < all.size() && wanted.size() < most; ++i) {
        wanted.insert({all[i].object, all[i].frame});
      }
      ++rounds_;
      frames_ += wanted.size();
      // A cache as small as that has nothing else left.
      if (room_ < SIZE_MAX) here_.clear();
      here_.insert(wanted.begin(), wanted.end());
    }
    return reader_->Pin(frames, addresses);
  }
  void Follow(size_t, FramesAhead* ahead) override { ahead_ = ahead; }
  void Unpin() noexcept override { reader_->Unpin(); }
  Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) override {
    return reader_->DeadRows(list, mask);
  }

 private:
  SegmentReader* reader_;
  size_t room_;
  FramesAhead* ahead_ = nullptr;
  std::set<Frame> here_, needed_;
  size_t rounds_ = 0, frames_ = 0;
};

class FramesAheadTest : public ::testing::Test {
 protected:
  FramesAheadTest() { Build(WordNet()); }

  static Matrix WordNet() { return testing::LoadNpy(VDB_TEST_DATA_DIR "/wordnet-use512-20k.npy"); }

  /// The last kQueries rows are the queries, and not in the index.
  void Build(Matrix rows, Metric metric = Metric::kL2) {
    const size_t n = (rows.rows() - kQueries) * rows.dim;
    queries_ = {rows.dim, {rows.values.begin() + static_cast<ptrdiff_t>(n), rows.values.end()}};
    rows.values.resize(n);
    base_ = std::move(rows);
    engine::MemoryIndexOptions options;
    options.metric = metric;
    options.lists_per_object = 35;  // 10,000 rows
    index_ = std::make_unique<MemoryIndex>(
        std::move(MemoryIndex::Build(base_.values, base_.dim, options)).value());
    searcher_ = std::make_unique<Searcher>(index_->space(), index_->layout());
    routing_ = index_->routing();
  }

  void Search(size_t query, FarReader* reader, const SearchOptions& options, size_t limit = 10) {
    const SegmentView view{&routing_, reader};
    searcher_->Begin({&view, 1}, queries_.row(query), options);
    for (size_t found = 0; found < limit;) {
      Searcher::Step step;
      RowId row;
      double distance;
      ASSERT_TRUE(searcher_->Next(&step, &row, &distance).ok());
      if (step == Searcher::Step::kDone) break;
      if (step == Searcher::Step::kRow) {
        ++found;
      } else {
        searcher_->SetExact(index_->Distance(queries_.row(query), index_->MatrixRow(row)));
      }
    }
  }

  /// Of all queries, those that took one round. None may take more than two.
  size_t InOneRound() {
    size_t one = 0;
    for (size_t q = 0; q < kQueries; ++q) {
      FarReader reader(index_->view().reader);
      Search(q, &reader, {});
      EXPECT_LE(reader.rounds(), 2u) << q;
      one += reader.rounds() == 1;
    }
    return one;
  }

  Matrix base_, queries_;
  Routing routing_;
  std::unique_ptr<MemoryIndex> index_;
  std::unique_ptr<Searcher> searcher_;
};

TEST_F(FramesAheadTest, OneRoundForMostAndTwoForTheHardest) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine, Metric::kL1}) {
    Build(WordNet(), metric);
    size_t one = 0, most_lists = 0;
    for (size_t q = 0; q < kQueries; ++q) {
      FarReader reader(index_->view().reader);
      Search(q, &reader, {});
      EXPECT_LE(reader.rounds(), 2u) << q;
      one += reader.rounds() == 1;
      most_lists = std::max<size_t>(most_lists, searcher_->stats().lists);
    }
    EXPECT_GE(one, kQueries * 4 / 5) << static_cast<int>(metric);
    EXPECT_LT(one, kQueries) << "no search is hard, and nothing was tested";
    EXPECT_GT(most_lists, 2 * index_->routing().calibration.p80_lists);
  }
}

// Easy queries read less than hard ones: not all of them what four in five need.
TEST_F(FramesAheadTest, NotMuchMoreThanTheSearchNeeds) {
  const auto read = [&] {
    size_t frames = 0, needed = 0;
    for (size_t q = 0; q < kQueries; ++q) {
      FarReader reader(index_->view().reader);
      Search(q, &reader, {});
      frames += reader.frames();
      needed += reader.needed();
    }
    return static_cast<double>(frames) / static_cast<double>(needed);
  };
  const double foretold = read();
  routing_.calibration.reach = 0;
  const double by_number = read();
  EXPECT_LT(foretold, 3);
  EXPECT_LT(foretold, .75 * by_number);
}

// Queries that are far from all rows, of which no row has said how far they look.
TEST_F(FramesAheadTest, QueriesFromElsewhere) {
  for (float& value : queries_.values) value *= 2;
  EXPECT_GE(InOneRound(), kQueries * 2 / 3);
}

// As by a build that did not measure how far searches look.
TEST_F(FramesAheadTest, ANumberOfListsWhereNothingIsForetold) {
  routing_.calibration.reach = 0;
  EXPECT_GE(InOneRound(), kQueries * 4 / 5);
}

TEST_F(FramesAheadTest, AFixedNumberOfProbesIsKnownBeforehand) {
  SearchOptions options;
  options.probes = 25;
  for (size_t q = 0; q < kQueries; ++q) {
    FarReader reader(index_->view().reader);
    Search(q, &reader, options);
    EXPECT_EQ(reader.rounds(), 1u) << q;
  }
}

TEST_F(FramesAheadTest, TheSecondAnswerHasAllThatIsLeft) {
  // Of which the first has but little when the calibration thought the queries easier.
  routing_.calibration.mean_lists = 2;
  routing_.calibration.p80_lists = 2;
  for (const float reach : {.5f, 0.f}) {
    routing_.calibration.reach = reach;
    EXPECT_LT(InOneRound(), kQueries / 2);
  }
}

TEST_F(FramesAheadTest, WhatHasBeenScannedTakesNoRoom) {
  Build(testing::Clustered(40000 + kQueries, 64, 1, kSeed));
  constexpr size_t kRoom = 64;
  size_t frames = 0, rounds = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    FarReader all(index_->view().reader), few(index_->view().reader, kRoom);
    Search(q, &all, {});
    Search(q, &few, {});
    frames += all.frames();
    rounds += few.rounds();
  }
  EXPECT_LT(rounds, 4 * frames / kRoom);
}

}  // namespace
}  // namespace vdb::index
