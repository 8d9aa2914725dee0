#include "index/searcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <stdexcept>

#include "index_samples.h"
#include "quant/rabitq.h"

namespace vdb::index {
namespace {

using engine::MemoryIndex;
using engine::MemoryIndexOptions;
using testing::BruteForce;
using testing::Clustered;
using testing::Drain;
using testing::Emitted;
using testing::Matrix;
using testing::RecallOf;
using testing::ScatteredReader;

constexpr uint64_t kSeed = 20240611;
constexpr size_t kAll = std::numeric_limits<size_t>::max();

MemoryIndex BuildIndex(const Matrix& base, const MemoryIndexOptions& options) {
  Result<MemoryIndex> index = MemoryIndex::Build(base.values, base.dim, options);
  EXPECT_TRUE(index.ok()) << index.status().message();
  return std::move(index).value();
}

std::vector<Emitted> SearchFor(const MemoryIndex& index, Searcher* searcher, const float* query,
                               const SearchOptions& options, size_t limit) {
  const SegmentView view = index.view();
  searcher->Begin({&view, 1}, query, options);
  std::vector<Emitted> out;
  const Status status = Drain(
      searcher, limit,
      [&](RowId row) -> std::optional<double> {
        return index.Distance(query, index.MatrixRow(row));
      },
      &out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

std::set<RowId> RowSet(const std::vector<Emitted>& rows) {
  std::set<RowId> out;
  for (const Emitted& e : rows) out.insert(e.row);
  return out;
}

struct Shape {
  Metric metric;
  uint32_t dim, bits;
};

class SearcherShapes : public ::testing::TestWithParam<Shape> {};

// Whatever the metric, dimension and code: relaxed order gives every row once, strict order gives
// rows in order, none twice, and both begin with the nearest.
TEST_P(SearcherShapes, GivesEveryRowOnceAndTheNearestFirst) {
  const Shape shape = GetParam();
  const size_t rows = shape.dim > 1000 ? 400 : 1500;
  Matrix base = Clustered(rows + 8, shape.dim, 12, kSeed, .3f);
  const Matrix queries{shape.dim, {base.row(rows), base.row(rows + 8)}};
  base.values.resize(rows * shape.dim);
  MemoryIndexOptions options;
  options.metric = shape.metric;
  options.code_bits = shape.bits;
  options.lists = 14;
  options.lists_per_object = 5;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());

  double recall = 0;
  for (size_t q = 0; q < queries.rows(); ++q) {
    SearchOptions search;
    search.relaxed_order = true;
    const auto relaxed = SearchFor(index, &searcher, queries.row(q), search, kAll);
    EXPECT_EQ(relaxed.size(), rows);
    EXPECT_EQ(RowSet(relaxed).size(), rows);
    size_t descents = 0;
    for (size_t i = 1; i < relaxed.size(); ++i) {
      descents += relaxed[i].distance < relaxed[i - 1].distance;
    }
    EXPECT_LE(descents, searcher.stats().late);

    search.relaxed_order = false;
    const auto strict = SearchFor(index, &searcher, queries.row(q), search, kAll);
    EXPECT_EQ(strict.size() + searcher.stats().late, rows);
    EXPECT_EQ(RowSet(strict).size(), strict.size());
    EXPECT_TRUE(std::is_sorted(strict.begin(), strict.end(), [](const auto& a, const auto& b) {
      return a.distance < b.distance;
    }));

    std::vector<MemoryIndex::Hit> first;
    for (size_t i = 0; i < 10; ++i) first.push_back({0, strict.at(i).distance});
    recall +=
        RecallOf(first, BruteForce(index, base, queries.row(q), 10, [](uint32_t) { return true; }));
  }
  EXPECT_GE(recall / static_cast<double>(queries.rows()), .85);
}

INSTANTIATE_TEST_SUITE_P(
    Dimensions, SearcherShapes,
    ::testing::Values(Shape{Metric::kL2, 1, 5}, Shape{Metric::kL2, 3, 5}, Shape{Metric::kL2, 63, 5},
                      Shape{Metric::kL2, 64, 5}, Shape{Metric::kL2, 65, 5},
                      Shape{Metric::kL2, 1025, 5}, Shape{Metric::kL2, 64, 1},
                      Shape{Metric::kL2, 64, 2}, Shape{Metric::kL2, 64, 8},
                      Shape{Metric::kInnerProduct, 1, 5}, Shape{Metric::kInnerProduct, 65, 5},
                      Shape{Metric::kInnerProduct, 64, 1}, Shape{Metric::kCosine, 1, 5},
                      Shape{Metric::kCosine, 3, 5}, Shape{Metric::kCosine, 65, 5},
                      Shape{Metric::kCosine, 64, 1}, Shape{Metric::kL1, 1, 5},
                      Shape{Metric::kL1, 65, 5}, Shape{Metric::kL1, 64, 1}));

// Rows that no bound tells apart must still all come: rounds go on until they have.
TEST(Searcher, GivesDuplicatesZerosAndEqualRowsOnce) {
  const uint32_t dim = 64;
  for (const float value : {0.0f, 3.0f}) {
    Matrix base{dim, std::vector<float>(500 * dim, value)};
    MemoryIndexOptions options;
    options.lists = 4;
    const MemoryIndex index = BuildIndex(base, options);
    Searcher searcher(index.space(), index.layout());
    for (const bool relaxed : {false, true}) {
      SearchOptions search;
      search.relaxed_order = relaxed;
      const auto rows = SearchFor(index, &searcher, base.row(0), search, kAll);
      EXPECT_EQ(rows.size(), 500u) << value;
      EXPECT_EQ(RowSet(rows).size(), 500u) << value;
    }
  }
  // 300 copies of each of four rows; the ten nearest are all copies.
  const Matrix few = Clustered(4, dim, 4, kSeed);
  Matrix base{dim, {}};
  for (size_t i = 0; i < 1200; ++i) {
    base.values.insert(base.values.end(), few.row(i % 4), few.row(i % 4) + dim);
  }
  MemoryIndexOptions options;
  options.lists = 16;
  const MemoryIndex index = BuildIndex(base, options);
  EXPECT_LE(index.routing().n_lists, 4u);
  Searcher searcher(index.space(), index.layout());
  const auto rows = SearchFor(index, &searcher, few.row(2), {}, kAll);
  EXPECT_EQ(RowSet(rows).size() + searcher.stats().late, 1200u);
  for (size_t i = 0; i < 300; ++i) EXPECT_EQ(rows.at(i).distance, 0) << i;
}

TEST(Searcher, IsTheSameOverScatteredFrames) {
  for (const uint32_t bits : {1u, 5u, 8u}) {
    const Matrix base = Clustered(3000, 520, 10, kSeed);
    MemoryIndexOptions options;
    options.code_bits = bits;
    options.lists = 12;
    const MemoryIndex index = BuildIndex(base, options);
    ScatteredReader reader(index);
    const SegmentView scattered{index.view().routing, &reader};
    Searcher searcher(index.space(), index.layout());
    for (size_t q = 0; q < 5; ++q) {
      const float* query = base.row(q * 100);
      const auto expected = SearchFor(index, &searcher, query, {}, 200);
      const SearchStats expected_stats = searcher.stats();
      searcher.Begin({&scattered, 1}, query, {});
      std::vector<Emitted> rows;
      const auto exact = [&](RowId row) -> std::optional<double> {
        return index.Distance(query, index.MatrixRow(row));
      };
      ASSERT_TRUE(Drain(&searcher, 200, exact, &rows).ok());
      ASSERT_EQ(rows.size(), expected.size());
      // Runs end where frames do, and tau moves between runs: how many survive may differ, and a
      // row whose bound is wrong may be in time under one tau and late under the other.
      const std::set<RowId> expected_rows = RowSet(expected);
      EXPECT_LE(std::count_if(rows.begin(), rows.end(),
                              [&](const Emitted& e) { return !expected_rows.contains(e.row); }),
                1);
      EXPECT_NEAR(static_cast<double>(searcher.stats().exact),
                  static_cast<double>(expected_stats.exact), 2);
      EXPECT_EQ(reader.pinned, 0u);
    }
  }
}

// Every call of the reader fails once: the search gives that status back, can be asked again and
// then goes on as if nothing had been.
TEST(Searcher, SurvivesAFailingReader) {
  const Matrix base = Clustered(2000, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.lists = 10;
  const MemoryIndex index = BuildIndex(base, options);
  ScatteredReader reader(index);
  const SegmentView view{index.view().routing, &reader};
  Searcher searcher(index.space(), index.layout());
  const float* query = base.row(7);
  const auto exact = [&](RowId row) -> std::optional<double> {
    return index.Distance(query, index.MatrixRow(row));
  };
  const auto expected = SearchFor(index, &searcher, query, {}, 300);
  size_t failures = 0;
  for (const bool dead : {false, true}) {
    for (size_t nth = 1;; ++nth) {
      reader.pin_calls = reader.dead_calls = reader.fail_pin = reader.fail_dead = 0;
      (dead ? reader.fail_dead : reader.fail_pin) = nth;
      searcher.Begin({&view, 1}, query, {});
      std::vector<Emitted> rows;
      const Status status = Drain(&searcher, 300, exact, &rows);
      EXPECT_EQ(reader.pinned, 0u);
      EXPECT_EQ(status.ok(), (dead ? reader.dead_calls : reader.pin_calls) < nth);
      if (status.ok()) break;
      ++failures;
      EXPECT_EQ(status.code(), dead ? Code::kCorruption : Code::kUnavailable);
      ASSERT_TRUE(Drain(&searcher, 300, exact, &rows).ok());
      ASSERT_EQ(rows.size(), expected.size());
      for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].row, expected[i].row) << i;
    }
  }
  EXPECT_GE(failures, 10u);
}

// Counts the frames it is asked for, and throws in one call of Pin: the server's errors are
// exceptions.
class ThrowingReader final : public ScatteredReader {
 public:
  using ScatteredReader::ScatteredReader;
  Status Pin(std::span<const FrameRef> frames, const uint8_t** addresses) override {
    wanted += frames.size();
    if (++calls == throw_at) throw std::runtime_error("an error of the server");
    return ScatteredReader::Pin(frames, addresses);
  }
  size_t calls = 0, throw_at = 0, wanted = 0;
};

// A searcher is used again after an exception has gone through it: the next search wants the frames
// that it would want anyway and no others.
TEST(Searcher, StartsAfreshAfterAnException) {
  const Matrix base = Clustered(2000, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.lists = 10;
  const MemoryIndex index = BuildIndex(base, options);
  const float* query = base.row(7);
  const auto exact = [&](RowId row) -> std::optional<double> {
    return index.Distance(query, index.MatrixRow(row));
  };
  // Over two segments, of which the second is not searched the next time.
  const auto search = [&](Searcher* searcher, ThrowingReader* reader, size_t segments) {
    const SegmentView view{index.view().routing, reader};
    const std::vector<SegmentView> views(segments, view);
    reader->calls = reader->wanted = 0;
    searcher->Begin(views, query, {});
    std::vector<Emitted> rows;
    EXPECT_TRUE(Drain(searcher, 100, exact, &rows).ok());
    return reader->wanted;
  };
  ThrowingReader reader(index);
  Searcher fresh(index.space(), index.layout());
  const size_t one = search(&fresh, &reader, 1), two = search(&fresh, &reader, 2);
  const size_t calls = reader.calls;
  ASSERT_GE(calls, 4u);
  for (size_t nth = 1; nth <= calls; ++nth) {
    Searcher searcher(index.space(), index.layout());
    reader.throw_at = nth;
    EXPECT_THROW(search(&searcher, &reader, 2), std::runtime_error);
    reader.throw_at = 0;
    EXPECT_EQ(search(&searcher, &reader, 1), one) << nth;
    EXPECT_EQ(search(&searcher, &reader, 2), two) << nth;
  }
}

TEST(Searcher, StopsWhenAskedTo) {
  const Matrix base = Clustered(40000, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.lists = 10;
  options.calibration_queries = 0;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());
  SearchOptions search;
  search.first_k = 40000;  // everything, so there is enough to do
  search.poll.pending = [](void*) noexcept { return true; };
  const SegmentView view = index.view();
  std::vector<SegmentView> views(20, view);
  searcher.Begin(views, base.row(0), search);
  std::vector<Emitted> rows;
  const Status status = Drain(
      &searcher, 1, [](RowId) -> std::optional<double> { return 0; }, &rows);
  EXPECT_EQ(status.code(), Code::kCancelled);
}

TEST(Searcher, NeverGivesDeadRows) {
  const Matrix base = Clustered(2000, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.lists = 10;
  MemoryIndex index = BuildIndex(base, options);
  for (uint32_t i = 0; i < 2000; i += 3) index.MarkDead(i);
  Searcher searcher(index.space(), index.layout());
  SearchOptions search;
  search.relaxed_order = true;
  const auto rows = SearchFor(index, &searcher, base.row(1), search, kAll);
  EXPECT_EQ(rows.size(), 2000u - 667u);
  for (const Emitted& e : rows) EXPECT_NE(index.MatrixRow(e.row) % 3, 0u);
}

TEST(Searcher, SearchesSeveralSegments) {
  const Matrix base = Clustered(1500, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.lists = 9;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());
  const std::vector<SegmentView> views(3, index.view());
  const float* query = base.row(3);
  searcher.Begin(views, query, {});
  std::vector<Emitted> rows;
  const auto exact = [&](RowId row) -> std::optional<double> {
    return index.Distance(query, index.MatrixRow(row));
  };
  ASSERT_TRUE(Drain(&searcher, kAll, exact, &rows).ok());
  EXPECT_EQ(rows.size() + searcher.stats().late, 4500u);
  EXPECT_EQ(RowSet(rows).size(), rows.size());
  const auto once = SearchFor(index, &searcher, query, {}, 20);
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(rows.at(i).distance, once.at(i / 3).distance) << i;
    EXPECT_EQ(rows.at(i).row >> 40, i % 3) << i;
  }
}

// Delta rows as an index's pages hold them: first parts about the mean.
class Delta {
 public:
  Delta(const MemoryIndex& index, const Matrix& rows) : stride_(index.layout().first_bytes() + 3) {
    const quant::Encoder encoder(index.layout(), index.space().estimator());
    AlignedBuffer<float> point(index.layout().dim), mean(index.layout().dim);
    codes_.resize(rows.rows() * stride_);
    for (size_t i = 0; i < rows.rows(); ++i) {
      index.space().Data(rows.row(i), point.data());
      encoder.EncodeFirst(point.data(), mean.data(), codes_.data() + i * stride_);
      numbers_.push_back(1000000 + i);
    }
  }
  void AddTo(Searcher* searcher) const {
    const size_t half = numbers_.size() / 2;
    searcher->AddDelta(codes_.data(), stride_, half, numbers_.data());
    searcher->AddDelta(codes_.data() + half * stride_, stride_, numbers_.size() - half,
                       numbers_.data() + half);
  }

 private:
  size_t stride_;
  std::vector<uint8_t> codes_;
  std::vector<uint64_t> numbers_;
};

TEST(Searcher, SearchesDeltaAlone) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine, Metric::kL1}) {
    const Matrix base = Clustered(2000, 96, 10, kSeed);
    MemoryIndexOptions options;
    options.metric = metric;
    const MemoryIndex index = BuildIndex(base, options);
    const Delta delta(index, base);
    Searcher searcher(index.space(), index.layout());
    double recall = 0;
    uint64_t exact_rows = 0;
    for (size_t q = 0; q < 10; ++q) {
      const float* query = base.row(q);
      const auto exact = [&](RowId row) -> std::optional<double> {
        EXPECT_TRUE(row & kDeltaRow);
        return index.Distance(query, static_cast<uint32_t>((row & ~kDeltaRow) - 1000000));
      };
      SearchOptions search;
      search.relaxed_order = true;
      searcher.Begin({}, query, search);
      delta.AddTo(&searcher);
      std::vector<Emitted> rows;
      ASSERT_TRUE(Drain(&searcher, 10, exact, &rows).ok());
      exact_rows += searcher.stats().exact;
      std::vector<MemoryIndex::Hit> hits;
      for (const Emitted& e : rows) hits.push_back({0, e.distance});
      recall += RecallOf(hits, BruteForce(index, base, query, 10, [](uint32_t) { return true; }));
      ASSERT_TRUE(Drain(&searcher, kAll, exact, &rows).ok());
      EXPECT_EQ(RowSet(rows).size(), 2000u);
      EXPECT_EQ(rows.size(), 2000u);
    }
    EXPECT_GE(recall / 10, .95) << static_cast<int>(metric);
    // A bound that excluded nothing would still find everything.
    if (metric != Metric::kL1) {
      EXPECT_LT(exact_rows / 10, 1500u) << static_cast<int>(metric);
    }
  }
}

// By that an idle searcher is judged, whose last search need not be the one that made it large.
TEST(Searcher, SaysHowLargeADeltaHasMadeIt) {
  const Matrix base = Clustered(2000, 64, 10, kSeed);
  const MemoryIndex index = BuildIndex(base, {});
  const Delta delta(index, base);
  Searcher searcher(index.space(), index.layout());
  EXPECT_EQ(searcher.delta_capacity(), 0u);
  searcher.Begin({}, base.row(0), {});
  delta.AddTo(&searcher);
  EXPECT_GE(searcher.delta_capacity(), 2000u);
  searcher.Begin({}, base.row(0), {});
  EXPECT_GE(searcher.delta_capacity(), 2000u);
}

TEST(Searcher, MergesDeltaAndSegment) {
  const Matrix base = Clustered(2000, 96, 10, kSeed);
  const Matrix fresh = Clustered(300, 96, 10, kSeed + 5);
  MemoryIndexOptions options;
  options.lists = 10;
  const MemoryIndex index = BuildIndex(base, options);
  const Delta delta(index, fresh);
  Searcher searcher(index.space(), index.layout());
  const SegmentView view = index.view();
  Matrix both = base;
  both.values.insert(both.values.end(), fresh.values.begin(), fresh.values.end());
  MemoryIndexOptions brute;
  brute.calibration_queries = 0;
  const MemoryIndex reference = BuildIndex(both, brute);
  double recall = 0;
  for (size_t q = 0; q < 10; ++q) {
    const float* query = q % 2 == 0 ? base.row(q) : fresh.row(q);
    const auto exact = [&](RowId row) -> std::optional<double> {
      if ((row & kDeltaRow) == 0) return index.Distance(query, index.MatrixRow(row));
      return reference.Distance(query, static_cast<uint32_t>((row & ~kDeltaRow) - 998000));
    };
    SearchOptions search;
    search.relaxed_order = true;
    searcher.Begin({&view, 1}, query, search);
    delta.AddTo(&searcher);
    std::vector<Emitted> rows;
    ASSERT_TRUE(Drain(&searcher, 10, exact, &rows).ok());
    std::vector<MemoryIndex::Hit> hits;
    for (const Emitted& e : rows) hits.push_back({0, e.distance});
    recall += RecallOf(hits, BruteForce(reference, both, query, 10, [](uint32_t) { return true; }));
    ASSERT_TRUE(Drain(&searcher, kAll, exact, &rows).ok());
    EXPECT_EQ(RowSet(rows).size(), 2300u);
    EXPECT_EQ(rows.size(), 2300u);
  }
  EXPECT_GE(recall / 10, .95);
}

TEST(Searcher, ProbesExactlySoManyListsThenGoesOn) {
  const Matrix base = Clustered(3000, 64, 20, kSeed);
  MemoryIndexOptions options;
  options.lists = 20;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());
  for (const uint32_t probes : {1u, 3u, 7u}) {
    SearchOptions search;
    search.probes = probes;
    search.relaxed_order = true;
    const auto few = SearchFor(index, &searcher, base.row(11), search, 10);
    EXPECT_EQ(searcher.stats().lists, probes);
    EXPECT_EQ(few.size(), 10u);
    const auto all = SearchFor(index, &searcher, base.row(11), search, kAll);
    EXPECT_EQ(RowSet(all).size(), 3000u);
    EXPECT_EQ(all.size(), 3000u);
  }
}

// Every query is the same distance from each row: NaN under cosine, so nothing is lost or endless.
TEST(Searcher, AnswersAZeroQueryUnderCosine) {
  const Matrix base = Clustered(1000, 64, 10, kSeed);
  MemoryIndexOptions options;
  options.metric = Metric::kCosine;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());
  const std::vector<float> zero(64, 0.0f);
  const auto ten = SearchFor(index, &searcher, zero.data(), {}, 10);
  EXPECT_EQ(ten.size(), 10u);
  EXPECT_LT(searcher.stats().exact, 500u);
  EXPECT_EQ(RowSet(SearchFor(index, &searcher, zero.data(), {}, kAll)).size(), 1000u);
}

// Estimates overflow; rows must come all the same.
TEST(Searcher, GivesRowsWhoseEstimatesAreNotFinite) {
  Matrix base = Clustered(600, 64, 5, kSeed);
  for (size_t i = 0; i < 20; ++i) base.values[i * 30 * 64] = 2e19f;
  MemoryIndexOptions options;
  options.lists = 5;
  const MemoryIndex index = BuildIndex(base, options);
  Searcher searcher(index.space(), index.layout());
  SearchOptions search;
  search.relaxed_order = true;
  for (const size_t q : {size_t{1}, size_t{0}}) {
    EXPECT_EQ(RowSet(SearchFor(index, &searcher, base.row(q), search, kAll)).size(), 600u);
  }
}

TEST(Searcher, IsDoneAtOnceWithoutRows) {
  const Matrix base = Clustered(100, 64, 2, kSeed);
  const MemoryIndex index = BuildIndex(base, {});
  Searcher searcher(index.space(), index.layout());
  searcher.Begin({}, base.row(0), {});
  Searcher::Step step;
  RowId row;
  double distance;
  ASSERT_TRUE(searcher.Next(&step, &row, &distance).ok());
  EXPECT_EQ(step, Searcher::Step::kDone);
}

}  // namespace
}  // namespace vdb::index
