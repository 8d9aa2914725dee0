#include "quant/rabitq.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/half.h"
#include "base/random.h"
#include "simd_targets.h"

namespace vdb::quant {
namespace {

/// Approximately normal numbers.
class Normal {
 public:
  explicit Normal(uint64_t seed) : random_(seed) {}
  float Next() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random_.Unit();
    return static_cast<float>(sum - 6);
  }
  void Fill(std::span<float> out, float scale = 1) {
    for (float& x : out) x = Next() * scale;
  }

 private:
  SplitMix64 random_;
};

struct Query {
  explicit Query(const AlignedBuffer<float>& values) : table(values.size() * 4), q8(values.size()) {
    scan = simd::PrepareScanQuery(values.data(), values.size(), table.data(), q8.data());
  }
  AlignedBuffer<uint8_t> table;
  AlignedBuffer<int8_t> q8;
  simd::ScanQuery scan;
};

struct ListTerms {
  float g_add, g_error;
};

ListTerms TermsOf(const AlignedBuffer<float>& q, const AlignedBuffer<float>& c,
                  Estimator estimator) {
  double distance_sq = 0, dot = 0;
  for (size_t i = 0; i < q.size(); ++i) {
    distance_sq += (double{q[i]} - c[i]) * (double{q[i]} - c[i]);
    dot += double{q[i]} * c[i];
  }
  return {static_cast<float>(estimator == Estimator::kL2 ? distance_sq : -dot),
          static_cast<float>(std::sqrt(distance_sq))};
}

double Truth(const AlignedBuffer<float>& q, const float* v, Estimator estimator) {
  double distance_sq = 0, dot = 0;
  for (size_t i = 0; i < q.size(); ++i) {
    distance_sq += (double{q[i]} - v[i]) * (double{q[i]} - v[i]);
    dot += double{q[i]} * v[i];
  }
  return estimator == Estimator::kL2 ? distance_sq : -dot;
}

/// The integers of a row code: sign and ex bits together, less (2^bits - 1) / 2.
std::vector<double> CodeValues(const CodeLayout& layout, const uint8_t* row) {
  std::vector<double> values(layout.dim);
  const uint8_t* signs = row + 8;
  for (size_t i = 0; i < layout.dim; ++i) {
    uint32_t e = 0;
    const uint8_t* part = row + layout.first_bytes() + layout.ex_factor_bytes();
    for (uint32_t width : {4u, 2u, 1u}) {
      if ((layout.ex_bits() & width) == 0) continue;
      const size_t x = i % 64, run = 8 * width;
      e = e << width | (part[i / 64 * run + x % run] >> (x / run * width) & ((1u << width) - 1));
      part += layout.dim / 8 * width;
    }
    const uint32_t sign = signs[i / 8] >> (i % 8) & 1;
    values[i] = (sign << layout.ex_bits()) + e - ((1 << layout.bits) - 1) / 2.0;
  }
  return values;
}

TEST(CodeLayout, SizesAddUp) {
  const CodeLayout one = {512, 1}, five = {512, 5}, eight = {512, 8};
  EXPECT_EQ(one.row_bytes(), 8 + 64u);
  EXPECT_EQ(five.row_bytes(), 8 + 64u + 8 + 256);
  EXPECT_EQ(eight.row_bytes(), 8 + 64u + 12 + 448);
  EXPECT_EQ(one.block_bytes(), 32 * one.row_bytes());
  EXPECT_EQ(one.block_bytes() % 64, 0u);
}

TEST(Encoder, CodesPointTheWayOfTheResidual) {
  // Cosines that a good scale reaches on normal residuals; codes with a misplaced bit stay far
  // below.
  const double expected[] = {0, 0.78, 0.93, 0.978, 0.9925, 0.9972, 0.9990, 0.9996, 0.9998};
  simd::ForEachTarget([&] {
    for (uint32_t dim : {64u, 512u, 1088u}) {
      for (uint32_t bits = 1; bits <= kMaxBits; ++bits) {
        const CodeLayout layout = {dim, bits};
        const Encoder encoder(layout, Estimator::kL2);
        AlignedBuffer<float> v(dim), c(dim);
        Normal normal(bits);
        normal.Fill(v.span());
        normal.Fill(c.span());
        std::vector<uint8_t> row(layout.row_bytes() + 1, 0xee);
        encoder.Encode(v.data(), c.data(), row.data());
        EXPECT_EQ(row.back(), 0xee);
        const std::vector<double> x = CodeValues(layout, row.data());
        double dot = 0, rr = 0, xx = 0;
        for (size_t i = 0; i < dim; ++i) {
          const double r = v[i] - c[i];
          ASSERT_EQ(x[i] > 0, r > 0);
          dot += x[i] * r;
          rr += r * r;
          xx += x[i] * x[i];
        }
        EXPECT_GT(dot / std::sqrt(rr * xx), expected[bits]) << dim << " " << bits;
      }
    }
  });
}

TEST(Encoder, FactorsFollowTheFormulas) {
  for (Estimator estimator : {Estimator::kL2, Estimator::kInnerProduct}) {
    for (uint32_t bits = 1; bits <= kMaxBits; ++bits) {
      const CodeLayout layout = {512, bits};
      AlignedBuffer<float> v(512), c(512);
      Normal normal(bits + 20);
      normal.Fill(v.span());
      normal.Fill(c.span(), 0.5f);
      std::vector<uint8_t> row(layout.row_bytes()), first(layout.first_bytes());
      const Encoder encoder(layout, estimator);
      encoder.Encode(v.data(), c.data(), row.data());
      encoder.EncodeFirst(v.data(), c.data(), first.data());
      EXPECT_EQ(std::memcmp(row.data(), first.data(), first.size()), 0);

      // The last part's factors: the first part's when there is one bit.
      const uint8_t* at = row.data() + (bits == 1 ? 0 : layout.first_bytes());
      float f_add, f_rescale, f_error;
      std::memcpy(&f_add, at, 4);
      if (bits <= 5) {
        uint16_t rescale, error;
        std::memcpy(&rescale, at + 4, 2);
        std::memcpy(&error, at + 6, 2);
        f_rescale = BfloatToFloat(rescale);
        f_error = BfloatToFloat(error);
      } else {
        std::memcpy(&f_rescale, at + 4, 4);
        std::memcpy(&f_error, at + 8, 4);
      }
      const std::vector<double> x = CodeValues(layout, row.data());
      double rr = 0, s = 0, xx = 0, cx = 0, rc = 0;
      for (size_t i = 0; i < 512; ++i) {
        const double r = v[i] - c[i];
        rr += r * r;
        s += r * x[i];
        xx += x[i] * x[i];
        cx += c[i] * x[i];
        rc += r * c[i];
      }
      const bool l2 = estimator == Estimator::kL2;
      const double rescale = (l2 ? -2 : -1) * rr / s;
      const double error =
          (l2 ? 2 : 1) * std::sqrt(rr) * kErrorSigmas * std::sqrt((rr * xx / (s * s) - 1) / 511);
      const double rounding = bits <= 5 ? 0x1p-8 : 1e-5;
      EXPECT_NEAR(f_rescale, rescale, rounding * -rescale) << bits;
      EXPECT_NEAR(f_add, (l2 ? rr : -rc) - f_rescale * cx, 1e-4 * rr) << bits;
      // Wider by what rounding f_rescale costs, and rounded up itself.
      const double stretch = (l2 ? 2 : 1) * std::sqrt(rr) * (f_rescale / rescale - 1);
      EXPECT_GE(f_error, std::hypot(error, stretch) * 0.998) << bits;
      EXPECT_LE(f_error, std::hypot(error, stretch) * 1.002 * (1 + 0x1p-7)) << bits;
    }
  }
}

TEST(Encoder, VectorEqualToItsCentroidIsExact) {
  simd::ForEachTarget([] {
    for (Estimator estimator : {Estimator::kL2, Estimator::kInnerProduct}) {
      for (uint32_t bits : {1u, 2u, 5u, 6u, 8u}) {
        const CodeLayout layout = {128, bits};
        AlignedBuffer<float> c(128), q(128);
        Normal normal(3);
        normal.Fill(c.span());
        normal.Fill(q.span());
        for (bool zero : {false, true}) {
          if (zero) c.Reset(128);
          std::vector<uint8_t> row(layout.row_bytes()), block(layout.block_bytes());
          Encoder(layout, estimator).Encode(c.data(), c.data(), row.data());
          AlignedBuffer<uint8_t> aligned(layout.block_bytes());
          PackBlock(layout, row.data(), row.size(), 1, aligned.data());
          const Query query(q);
          const ListTerms terms = TermsOf(q, c, estimator);
          simd::Survivor out;
          ASSERT_EQ(simd::ScanBlocks(query.scan, aligned.data(), 1, 1, nullptr, terms.g_add,
                                     terms.g_error, 1e30f, &out),
                    1u);
          const double truth = Truth(q, c.data(), estimator);
          EXPECT_NEAR(out.estimate, truth, 1e-4);
          EXPECT_EQ(out.lower_bound, out.estimate);
          if (bits == 1) continue;
          const Estimate ex = ExEstimate(layout, query.scan, row.data() + layout.first_bytes(),
                                         out.ip, terms.g_add, terms.g_error);
          EXPECT_NEAR(ex.value, truth, 1e-4);
          EXPECT_EQ(ex.error, 0);
        }
      }
    }
  });
}

TEST(Encoder, AllEqualAndExtremeVectorsHaveNoNan) {
  for (uint32_t bits : {1u, 2u, 5u, 8u}) {
    const CodeLayout layout = {64, bits};
    for (float value : {0.0f, 1.0f, -1.0f, 1e-38f, 1e-22f, 1e15f, 1e25f, 3e38f}) {
      for (bool one_hot : {false, true}) {
        AlignedBuffer<float> v(64), c(64), q(64);
        for (size_t i = 0; i < 64; ++i) v[i] = one_hot && i != 7 ? 0 : value;
        Normal normal(1);
        normal.Fill(q.span());
        std::vector<uint8_t> row(layout.row_bytes());
        Encoder(layout, Estimator::kL2).Encode(v.data(), c.data(), row.data());
        const Query query(q);
        float estimate, lower_bound;
        simd::ScanRows(query.scan, row.data(), row.size(), 1, 1, 1, &estimate, &lower_bound);
        EXPECT_FALSE(std::isnan(lower_bound)) << value;
        const double truth = Truth(q, v.data(), Estimator::kL2);
        if (truth > 1e38) {
          EXPECT_LT(lower_bound, -1e38f) << value;  // left to the exact distance
        }
        if (bits > 1) {
          const Estimate ex =
              ExEstimate(layout, query.scan, row.data() + layout.first_bytes(), 0.5f, 1, 1);
          EXPECT_FALSE(std::isnan(ex.value) || std::isnan(ex.error)) << value;
        }
      }
    }
  }
}

TEST(PackBlock, UnpackLaneIsItsInverse) {
  for (uint32_t dim : {64u, 512u, 1088u}) {
    const CodeLayout layout = {dim, 5};
    for (size_t n : {size_t{1}, size_t{9}, size_t{16}, size_t{17}, size_t{32}}) {
      SplitMix64 random(dim + n);
      const size_t stride = layout.row_bytes();
      std::vector<uint8_t> rows(n * stride);
      for (uint8_t& byte : rows) byte = static_cast<uint8_t>(random.Next());
      std::vector<uint8_t> block(layout.block_bytes(), 0xee), lane(layout.first_bytes());
      PackBlock(layout, rows.data(), stride, n, block.data());
      for (uint32_t i = 0; i < kBlockVectors; ++i) {
        UnpackLane(layout, block.data(), i, lane.data());
        if (i < n) {
          EXPECT_EQ(std::memcmp(lane.data(), rows.data() + i * stride, lane.size()), 0) << i;
          continue;
        }
        float f_add;
        std::memcpy(&f_add, lane.data(), 4);
        EXPECT_EQ(f_add, 3e38f);
        for (size_t b = 4; b < lane.size(); ++b) EXPECT_EQ(lane[b], 0);
      }
    }
  }
}

TEST(PackBlock, LanesLieAsTheLayoutSays) {
  const CodeLayout layout = {64, 1};
  std::vector<uint8_t> rows(32 * layout.first_bytes());
  for (size_t i = 0; i < 32; ++i) rows[i * layout.first_bytes() + 8] = static_cast<uint8_t>(i << 3);
  std::vector<uint8_t> block(layout.block_bytes());
  PackBlock(layout, rows.data(), layout.first_bytes(), 32, block.data());
  // Group 1 holds dimensions 4 to 7, the upper half of byte 0: i >> 1.
  for (uint32_t k = 0; k < 16; ++k) {
    const uint32_t lane = k % 2 == 0 ? k / 2 : 8 + k / 2;
    EXPECT_EQ(block[16 + k] & 15, (lane >> 1) & 15u);
    EXPECT_EQ(block[16 + k] >> 4, ((lane + 16) >> 1) & 15u);
  }
}

struct Moments {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0, under = 0, outside = 0;
  void Add(double truth, double estimate, double error) {
    n += 1;
    x += truth;
    y += estimate;
    xx += truth * truth;
    xy += truth * estimate;
    under += truth < estimate - error;
    outside += std::fabs(truth - estimate) > error;
  }
  double Slope() const { return (xy / n - x / n * y / n) / (xx / n - x / n * x / n); }
};

TEST(Estimates, AreUnbiasedAndBounded) {
  // Vectors about a centroid away from the origin, queries at several distances.
  constexpr uint32_t kDim = 512;
  constexpr size_t kRows = 32 * 24, kQueries = 40;
  const uint64_t seed = 2024;
  SCOPED_TRACE(seed);
  Normal normal(seed);
  AlignedBuffer<float> c(kDim), vectors(kRows * kDim);
  normal.Fill(c.span());
  for (size_t i = 0; i < kRows; ++i) {
    const float spread = 0.5f + 0.1f * static_cast<float>(i % 8);
    for (size_t j = 0; j < kDim; ++j) vectors[i * kDim + j] = c[j] + normal.Next() * spread;
  }
  for (Estimator estimator : {Estimator::kL2, Estimator::kInnerProduct}) {
    for (uint32_t bits = 1; bits <= kMaxBits; ++bits) {
      SCOPED_TRACE(bits);
      const CodeLayout layout = {kDim, bits};
      const Encoder encoder(layout, estimator);
      std::vector<uint8_t> rows(kRows * layout.row_bytes());
      AlignedBuffer<uint8_t> blocks(kRows / 32 * layout.block_bytes());
      for (size_t i = 0; i < kRows; ++i) {
        encoder.Encode(vectors.data() + i * kDim, c.data(), rows.data() + i * layout.row_bytes());
      }
      for (size_t b = 0; b < kRows / 32; ++b) {
        PackBlock(layout, rows.data() + b * 32 * layout.row_bytes(), layout.row_bytes(), 32,
                  blocks.data() + b * layout.block_bytes());
      }
      Moments first, full, page;
      std::vector<simd::Survivor> out(kRows);
      std::vector<float> estimate(kRows), lower_bound(kRows);
      for (size_t k = 0; k < kQueries; ++k) {
        AlignedBuffer<float> q(kDim);
        // Half of the queries are near a row, as in a search; that correlates them with its code.
        const float* near = k % 2 == 0 ? c.data() : vectors.data() + k * 11 * kDim;
        for (size_t j = 0; j < kDim; ++j) q[j] = near[j] + normal.Next() * 0.6f;
        const Query query(q);
        const ListTerms terms = TermsOf(q, c, estimator);
        ASSERT_EQ(simd::ScanBlocks(query.scan, blocks.data(), kRows / 32, kRows, nullptr,
                                   terms.g_add, terms.g_error, 1e30f, out.data()),
                  kRows);
        simd::ScanRows(query.scan, rows.data(), layout.row_bytes(), kRows, terms.g_add,
                       terms.g_error, estimate.data(), lower_bound.data());
        for (size_t i = 0; i < kRows; ++i) {
          const double truth = Truth(q, vectors.data() + i * kDim, estimator);
          first.Add(truth, out[i].estimate, out[i].estimate - out[i].lower_bound);
          page.Add(truth, estimate[i], estimate[i] - lower_bound[i]);
          if (bits == 1) continue;
          const uint8_t* ex = rows.data() + i * layout.row_bytes() + layout.first_bytes();
          const Estimate e =
              ExEstimate(layout, query.scan, ex, out[i].ip, terms.g_add, terms.g_error);
          full.Add(truth, e.value, e.error);
        }
      }
      EXPECT_NEAR(first.Slope(), 1, 0.01);
      EXPECT_NEAR(page.Slope(), 1, 0.01);
      EXPECT_LE(first.under / first.n, 0.035);
      EXPECT_LE(page.under / page.n, 0.035);
      EXPECT_GE(first.outside / first.n, 0.03);  // a bound that is far too wide would be as wrong
      if (bits > 1) {
        EXPECT_NEAR(full.Slope(), 1, 0.01);
        EXPECT_NEAR(full.y / full.n, full.x / full.n, 0.002 * kDim);
        EXPECT_LE(full.under / full.n, 0.035);
        // With more bits the query's rounding, at more sigmas, is most of the error.
        if (bits <= 3) {
          EXPECT_GE(full.outside / full.n, 0.03);
        }
      }
    }
  }
}

TEST(ExEstimate, RowsOnALineKeepTheirBounds) {
  // All rows and queries are multiples of one direction, so all have one code and its reverse, and
  // what rounding does to one it does to all. Over many directions hardly any may fail.
  constexpr uint32_t kDim = 64;
  constexpr int kDirections = 400;
  Normal normal(64);
  for (uint32_t bits = 2; bits <= kMaxBits; ++bits) {
    const CodeLayout layout = {kDim, bits};
    const Encoder encoder(layout, Estimator::kL2);
    std::vector<uint8_t> row(layout.row_bytes());
    AlignedBuffer<uint8_t> block(layout.block_bytes());
    int failed = 0;
    for (int direction = 0; direction < kDirections; ++direction) {
      AlignedBuffer<float> u(kDim), c(kDim), v(kDim), q(kDim);
      normal.Fill(u.span());
      bool below = false;
      for (float place : {-0.9f, -0.3f, 0.3f, 0.9f}) {
        for (size_t j = 0; j < kDim; ++j) {
          c[j] = u[j] * 10;
          v[j] = u[j] * (10 + place);
          q[j] = u[j] * (10 + place * 1.01f);
        }
        encoder.Encode(v.data(), c.data(), row.data());
        PackBlock(layout, row.data(), row.size(), 1, block.data());
        const Query query(q);
        const ListTerms terms = TermsOf(q, c, Estimator::kL2);
        simd::Survivor out;
        simd::ScanBlocks(query.scan, block.data(), 1, 1, nullptr, terms.g_add, terms.g_error, 1e30f,
                         &out);
        const Estimate e = ExEstimate(layout, query.scan, row.data() + layout.first_bytes(), out.ip,
                                      terms.g_add, terms.g_error);
        below |= Truth(q, v.data(), Estimator::kL2) < e.value - e.error;
      }
      failed += below;
    }
    EXPECT_LE(failed, kDirections / 100) << bits;
  }
}

TEST(ExEstimate, MoreBitsEstimateBetter) {
  constexpr uint32_t kDim = 1024;
  Normal normal(8);
  AlignedBuffer<float> c(kDim), v(kDim), q(kDim);
  normal.Fill(c.span());
  double last = std::numeric_limits<double>::infinity();
  for (uint32_t bits = 2; bits <= 6; ++bits) {
    const CodeLayout layout = {kDim, bits};
    std::vector<uint8_t> row(layout.row_bytes());
    AlignedBuffer<uint8_t> block(layout.block_bytes());
    double error_sq = 0;
    for (int k = 0; k < 200; ++k) {
      for (size_t j = 0; j < kDim; ++j) {
        v[j] = c[j] + normal.Next();
        q[j] = c[j] + normal.Next();
      }
      Encoder(layout, Estimator::kL2).Encode(v.data(), c.data(), row.data());
      PackBlock(layout, row.data(), row.size(), 1, block.data());
      const Query query(q);
      const ListTerms terms = TermsOf(q, c, Estimator::kL2);
      simd::Survivor out;
      simd::ScanBlocks(query.scan, block.data(), 1, 1, nullptr, terms.g_add, terms.g_error, 1e30f,
                       &out);
      const Estimate e = ExEstimate(layout, query.scan, row.data() + layout.first_bytes(), out.ip,
                                    terms.g_add, terms.g_error);
      const double error = e.value - Truth(q, v.data(), Estimator::kL2);
      error_sq += error * error;
    }
    EXPECT_LT(error_sq, last * 0.6) << bits;
    last = error_sq;
  }
}

}  // namespace
}  // namespace vdb::quant
