#include "index/space.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "index/query.h"
#include "index_samples.h"

namespace vdb::index {
namespace {

constexpr uint32_t kDim = 100;

AlignedBuffer<float> Point(const Space& space, const float* vector) {
  AlignedBuffer<float> out(space.padded_dim());
  EXPECT_TRUE(space.Data(vector, out.data()));
  return out;
}

double DistanceSq(const AlignedBuffer<float>& a, const AlignedBuffer<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum;
}

class SpaceTest : public ::testing::Test {
 protected:
  Space MakeSpace(Metric metric) const {
    std::vector<float> mean(quant::PaddedDim(kDim), .25f);
    return Space(metric, quant::Rotation::Random(kDim, 3), mean);
  }
  testing::Matrix sample_ = testing::Clustered(20, kDim, 4, 11, .5f);
};

TEST_F(SpaceTest, KeepsDistances) {
  const Space space = MakeSpace(Metric::kL2);
  AlignedBuffer<float> query(space.padded_dim());
  for (size_t i = 1; i < 20; ++i) {
    EXPECT_EQ(space.Query(sample_.row(0), query.data()), 0);
    double truth = 0;
    for (uint32_t j = 0; j < kDim; ++j) {
      const double d = double{sample_.row(0)[j]} - sample_.row(i)[j];
      truth += d * d;
    }
    EXPECT_NEAR(DistanceSq(query, Point(space, sample_.row(i))), truth, 1e-4 * truth);
    EXPECT_NEAR(space.ToSearchUnits(std::sqrt(truth), 1), truth, 1e-4 * truth);
  }
}

TEST_F(SpaceTest, NormalisesUnderCosine) {
  const Space space = MakeSpace(Metric::kCosine);
  AlignedBuffer<float> query(space.padded_dim());
  for (size_t i = 1; i < 20; ++i) {
    space.Query(sample_.row(0), query.data());
    double dot = 0, a = 0, b = 0;
    for (uint32_t j = 0; j < kDim; ++j) {
      dot += double{sample_.row(0)[j]} * sample_.row(i)[j];
      a += double{sample_.row(0)[j]} * sample_.row(0)[j];
      b += double{sample_.row(i)[j]} * sample_.row(i)[j];
    }
    const double distance = 1 - dot / std::sqrt(a * b);
    EXPECT_NEAR(DistanceSq(query, Point(space, sample_.row(i))), 2 * distance, 1e-5);
    EXPECT_NEAR(space.ToSearchUnits(distance, 1), 2 * distance, 1e-6);
  }
}

TEST_F(SpaceTest, KnowsZeroVectorsUnderCosine) {
  const Space space = MakeSpace(Metric::kCosine);
  const std::vector<float> zero(kDim, 0.0f);
  AlignedBuffer<float> out(space.padded_dim());
  out[3] = 5;
  EXPECT_FALSE(space.Data(zero.data(), out.data()));
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], 0);
  space.Query(zero.data(), out.data());
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], -.25f);
  // Squares below and above the range of float are no zeros.
  for (const float scale : {1e-42f, 1e-25f, 1e25f, 3e38f}) {
    std::vector<float> vector(kDim, scale);
    EXPECT_TRUE(space.Data(vector.data(), out.data())) << scale;
    double norm = 0;
    for (size_t i = 0; i < out.size(); ++i) norm += (out[i] + .25) * (out[i] + .25);
    EXPECT_NEAR(norm, 1, 1e-4) << scale;
  }
}

TEST_F(SpaceTest, OffsetMakesUpForTheMeanUnderInnerProduct) {
  const Space space = MakeSpace(Metric::kInnerProduct);
  AlignedBuffer<float> query(space.padded_dim());
  for (size_t i = 1; i < 20; ++i) {
    const float offset = space.Query(sample_.row(0), query.data());
    const AlignedBuffer<float> point = Point(space, sample_.row(i));
    double truth = 0, product = 0;
    for (uint32_t j = 0; j < kDim; ++j) truth += double{sample_.row(0)[j]} * sample_.row(i)[j];
    for (size_t j = 0; j < query.size(); ++j) product += double{query[j]} * point[j];
    EXPECT_NEAR(offset - product, -truth, 1e-3);
    EXPECT_EQ(space.ToSearchUnits(-truth, 1), static_cast<float>(-truth));
  }
}

TEST_F(SpaceTest, MeasuresL1ByItsRatio) {
  EXPECT_FLOAT_EQ(MakeSpace(Metric::kL1).ToSearchUnits(12, 4), 9);
}

// The terms about a centroid, also where |q|^2 + |c|^2 - 2 <q, c> is all rounding.
TEST_F(SpaceTest, QueryTermsAreDistancesFromTheCentroid) {
  const Space space = MakeSpace(Metric::kL2);
  PreparedQuery query(space, {space.padded_dim(), 5});
  for (const float spread : {1.0f, .01f, 0.0f}) {
    query.Prepare(sample_.row(0));
    std::vector<int8_t> codes(space.padded_dim());
    float largest = 0;
    for (size_t j = 0; j < codes.size(); ++j) {
      largest = std::max(largest, std::fabs(query.values()[j]));
    }
    const float scale = largest / 127;
    double truth = 0, norm_sq = 0;
    SplitMix64 random(5);
    for (size_t j = 0; j < codes.size(); ++j) {
      const float wanted = query.values()[j] * (1 - spread * static_cast<float>(random.Unit()));
      codes[j] = static_cast<int8_t>(std::lrint(wanted / scale));
      const double d = double{query.values()[j]} - double{scale} * codes[j];
      truth += d * d;
      norm_sq += double{scale} * codes[j] * scale * codes[j];
    }
    const QueryTerms terms = query.Terms(codes.data(), scale, static_cast<float>(norm_sq));
    EXPECT_NEAR(terms.add, truth, 1e-5 * truth) << spread;
    EXPECT_NEAR(terms.ex_error, std::sqrt(truth), 1e-5 * std::sqrt(truth)) << spread;
    EXPECT_GE(terms.error, terms.ex_error) << spread;
  }
  EXPECT_FLOAT_EQ(query.MeanTerms().add, query.norm_sq());
}

}  // namespace
}  // namespace vdb::index
