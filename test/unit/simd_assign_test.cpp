#include "simd/assign.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "simd_targets.h"

namespace vdb::simd {
namespace {

struct Case {
  Case(size_t n_points, size_t dimensions, size_t k, uint64_t seed)
      : n(n_points),
        dim(dimensions),
        n_centroids(k),
        points(n * dim),
        rows(k * dim),
        panels(PanelFloats(k, dim)),
        norms((k + kPanelWidth - 1) / kPanelWidth * kPanelWidth) {
    SplitMix64 random(seed);
    for (float& x : points.span()) x = static_cast<float>(random.Unit() * 2 - 1);
    for (float& x : rows.span()) x = static_cast<float>(random.Unit() * 2 - 1);
  }

  void Assign(std::vector<uint32_t>* best, std::vector<float>* score) {
    PackPanels(rows.data(), n_centroids, dim, panels.data(), norms.data());
    best->assign(n, 12345);
    score->assign(n, 0);
    AssignPanels(points.data(), n, dim, panels.data(), norms.data(), n_centroids, best->data(),
                 score->data());
  }

  double Score(size_t i, size_t c) const {
    double dot = 0, norm = 0;
    for (size_t j = 0; j < dim; ++j) {
      dot += double{points[i * dim + j]} * rows[c * dim + j];
      norm += double{rows[c * dim + j]} * rows[c * dim + j];
    }
    return norm - 2 * dot;
  }

  size_t n, dim, n_centroids;
  AlignedBuffer<float> points, rows, panels, norms;
};

TEST(Assign, EveryTargetFindsTheSmallestScore) {
  ForEachTarget([] {
    for (size_t dim : {size_t{1}, size_t{3}, size_t{64}, size_t{100}, size_t{512}}) {
      for (size_t k : {size_t{1}, size_t{2}, size_t{63}, size_t{64}, size_t{65}, size_t{200}}) {
        Case c(13, dim, k, dim * 1000 + k);
        std::vector<uint32_t> best;
        std::vector<float> score;
        c.Assign(&best, &score);
        for (size_t i = 0; i < c.n; ++i) {
          double least = std::numeric_limits<double>::infinity();
          for (size_t j = 0; j < k; ++j) least = std::min(least, c.Score(i, j));
          ASSERT_LT(best[i], k);
          const double tolerance = 1e-5 * static_cast<double>(dim);
          ASSERT_NEAR(c.Score(i, best[i]), least, tolerance);
          ASSERT_NEAR(score[i], least, tolerance);
        }
      }
    }
  });
}

TEST(Assign, PaddingNeverWins) {
  // Each point lies where a padded centroid would.
  ForEachTarget([] {
    Case c(7, 64, 5, 1);
    for (float& x : c.points.span()) x = 0;
    for (float& x : c.rows.span()) x = -1;
    std::vector<uint32_t> best;
    std::vector<float> score;
    c.Assign(&best, &score);
    for (size_t i = 0; i < c.n; ++i) {
      EXPECT_EQ(best[i], 0u);
      EXPECT_EQ(score[i], 64);
    }
  });
}

TEST(Assign, TiesGoToTheLowestIndex) {
  ForEachTarget([] {
    Case c(9, 128, 300, 2);
    for (size_t k = 40; k < 300; k += 20) {  // 40, 60, 80, ... are the same centroid
      std::copy_n(c.rows.data() + 40 * c.dim, c.dim, c.rows.data() + k * c.dim);
    }
    for (size_t i = 0; i < c.n; ++i) {
      std::copy_n(c.rows.data() + 40 * c.dim, c.dim, c.points.data() + i * c.dim);
    }
    std::vector<uint32_t> best;
    std::vector<float> score;
    c.Assign(&best, &score);
    for (uint32_t b : best) EXPECT_EQ(b, 40u);
  });
}

TEST(Assign, BatchesDoNotChangeTheResult) {
  ForEachTarget([] {
    Case c(50, 128, 130, 3);
    std::vector<uint32_t> best;
    std::vector<float> score;
    c.Assign(&best, &score);
    for (size_t i = 0; i < c.n; ++i) {
      uint32_t one;
      float one_score;
      AssignPanels(c.points.data() + i * c.dim, 1, c.dim, c.panels.data(), c.norms.data(), 130,
                   &one, &one_score);
      EXPECT_EQ(one, best[i]);
      EXPECT_EQ(one_score, score[i]);
      AssignPanels(c.points.data() + i * c.dim, 1, c.dim, c.panels.data(), c.norms.data(), 130,
                   &one, nullptr);
      EXPECT_EQ(one, best[i]);
    }
  });
}

TEST(Assign, NanPointGetsCentroidZero) {
  ForEachTarget([] {
    Case c(8, 64, 70, 4);
    c.points[5 * 64 + 3] = NAN;
    std::vector<uint32_t> best;
    std::vector<float> score;
    c.Assign(&best, &score);
    EXPECT_EQ(best[5], 0u);
    EXPECT_TRUE(std::isinf(score[5]));
    EXPECT_TRUE(std::isfinite(score[4]) && std::isfinite(score[6]));
  });
}

}  // namespace
}  // namespace vdb::simd
