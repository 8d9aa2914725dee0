#include "simd/scan.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/half.h"
#include "base/random.h"
#include "quant/code_layout.h"
#include "quant/rabitq.h"
#include "simd_targets.h"

namespace vdb::simd {
namespace {

constexpr size_t kDims[] = {64, 128, 512, 960, 1024, 1088, 1536, 2048, 16000};

struct Query {
  explicit Query(const AlignedBuffer<float>& values) : table(values.size() * 4), q8(values.size()) {
    scan = PrepareScanQuery(values.data(), values.size(), table.data(), q8.data());
  }
  AlignedBuffer<uint8_t> table;
  AlignedBuffer<int8_t> q8;
  ScanQuery scan;
};

AlignedBuffer<float> Gaussian(size_t n, uint64_t seed, float shift = 0) {
  SplitMix64 random(seed);
  AlignedBuffer<float> v(n);
  for (float& x : v.span()) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random.Unit();
    x = static_cast<float>(sum - 6) + shift;
  }
  return v;
}

/// Random blocks with plausible factors: first parts of row codes, and the blocks packed from them.
struct Codes {
  Codes(size_t dim, size_t n, uint64_t seed) : layout{static_cast<uint32_t>(dim), 1}, rows(n) {
    SplitMix64 random(seed);
    const size_t stride = layout.first_bytes();
    bytes.resize(n * stride);
    for (size_t i = 0; i < n; ++i) {
      uint8_t* row = bytes.data() + i * stride;
      for (size_t j = 8; j < stride; ++j) row[j] = static_cast<uint8_t>(random.Next());
      const float f_add = static_cast<float>(random.Unit() * 10);
      const uint16_t f_rescale = FloatToBfloat(static_cast<float>(-random.Unit()));
      const uint16_t f_error = FloatToBfloatUp(static_cast<float>(random.Unit()));
      std::memcpy(row, &f_add, 4);
      std::memcpy(row + 4, &f_rescale, 2);
      std::memcpy(row + 6, &f_error, 2);
    }
    n_blocks = (n + 31) / 32;
    blocks.Reset(n_blocks * layout.block_bytes());
    for (size_t b = 0; b < n_blocks; ++b) {
      quant::PackBlock(layout, bytes.data() + b * 32 * stride, stride,
                       std::min<size_t>(32, n - b * 32), blocks.data() + b * layout.block_bytes());
    }
  }
  const uint8_t* row(size_t i) const { return bytes.data() + i * layout.first_bytes(); }
  quant::CodeLayout layout;
  size_t rows, n_blocks;
  std::vector<uint8_t> bytes;
  AlignedBuffer<uint8_t> blocks;
};

/// One row by the formulas of scan.h, from the table's integers.
Survivor Expected(const ScanQuery& q, const uint8_t* row, uint32_t index, float g_add,
                  float g_error) {
  uint32_t sum = 0;
  for (size_t g = 0; g < q.dim / 4; ++g) {
    sum += q.table[g * 16 + (row[8 + g / 2] >> (g % 2 * 4) & 15)];
  }
  float f_add;
  uint16_t f_rescale, f_error;
  std::memcpy(&f_add, row, 4);
  std::memcpy(&f_rescale, row + 4, 2);
  std::memcpy(&f_error, row + 6, 2);
  const float ip = q.step * static_cast<float>(sum) + q.bias;
  const float estimate = f_add + g_add + BfloatToFloat(f_rescale) * (ip - q.sum / 2);
  return {estimate - BfloatToFloat(f_error) * g_error, estimate, ip, index};
}

void ExpectClose(float actual, float expected, float scale) {
  EXPECT_NEAR(actual, expected, 1e-5f * (std::fabs(expected) + scale));
}

TEST(ScanQuery, TableHoldsRoundedSums) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      SCOPED_TRACE(dim);
      const AlignedBuffer<float> q = Gaussian(dim, dim);
      const Query query(q);
      double bias = 0, sum = 0, range = 0, largest = 0;
      for (size_t i = 0; i < dim; i += 4) {
        double group = 0;
        for (size_t j = 0; j < 4; ++j) {
          group += std::fabs(q[i + j]);
          bias += std::min(q[i + j], 0.0f);
          sum += q[i + j];
          largest = std::max(largest, std::fabs(double{q[i + j]}));
        }
        range = std::max(range, group);
      }
      EXPECT_EQ(query.scan.dim, dim);
      EXPECT_NEAR(query.scan.bias, bias, 1e-5 * -bias);
      EXPECT_NEAR(query.scan.sum, sum, 1e-5 * -bias);
      EXPECT_NEAR(query.scan.step, range / 255, 1e-5 * range);
      EXPECT_NEAR(query.scan.q8_step, largest / 127, 1e-5 * largest);
      for (size_t i = 0; i < dim; i += 4) {
        for (size_t c = 0; c < 16; ++c) {
          double value = 0, lowest = 0;
          for (size_t j = 0; j < 4; ++j) {
            lowest += std::min(q[i + j], 0.0f);
            if (c >> j & 1) value += q[i + j];
          }
          ASSERT_NEAR(query.table[i * 4 + c], (value - lowest) / (range / 255), 0.501);
        }
      }
      int32_t q8_sum = 0;
      for (size_t i = 0; i < dim; ++i) {
        ASSERT_NEAR(query.q8[i], q[i] / (largest / 127), 0.501);
        q8_sum += query.q8[i];
      }
      EXPECT_EQ(query.scan.q8_sum, query.scan.q8_step * static_cast<float>(q8_sum));
    }
  });
}

TEST(ScanQuery, EveryTargetGivesTheSameIntegers) {
  for (size_t dim : {size_t{64}, size_t{1088}, size_t{16000}}) {
    const AlignedBuffer<float> q = Gaussian(dim, dim + 1, 0.3f);
    const Query best(q);
    ForEachTarget([&] {
      const Query query(q);
      EXPECT_EQ(std::memcmp(query.table.data(), best.table.data(), dim * 4), 0);
      EXPECT_EQ(std::memcmp(query.q8.data(), best.q8.data(), dim), 0);
      EXPECT_EQ(query.scan.step, best.scan.step);
      EXPECT_EQ(query.scan.q8_step, best.scan.q8_step);
    });
  }
}

TEST(ScanQuery, ZeroAndTinyQueriesAreFinite) {
  ForEachTarget([] {
    for (float value : {0.0f, 1e-40f, -1e-38f}) {
      AlignedBuffer<float> q(128);
      for (float& x : q.span()) x = value;
      const Query query(q);
      EXPECT_TRUE(std::isfinite(query.scan.step) && std::isfinite(query.scan.q8_step));
      const Codes codes(128, 32, 5);
      std::vector<Survivor> out(32);
      ASSERT_EQ(
          ScanBlocks(query.scan, codes.blocks.data(), 1, 32, nullptr, 0, 0, 1e30f, out.data()),
          32u);
      for (const Survivor& s : out) EXPECT_NEAR(s.ip, 0, 1e-30);
    }
  });
}

TEST(ScanBlocks, EveryTargetAgreesWithTheFormula) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      SCOPED_TRACE(dim);
      const Query query(Gaussian(dim, dim));
      const Codes codes(dim, 32 * 3, dim + 2);
      std::vector<Survivor> out(codes.rows);
      const float infinity = std::numeric_limits<float>::infinity();
      ASSERT_EQ(ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, codes.rows, nullptr,
                           2.5f, 0.75f, infinity, out.data()),
                codes.rows);
      const float scale = std::sqrt(static_cast<float>(dim));
      for (uint32_t i = 0; i < codes.rows; ++i) {
        const Survivor expected = Expected(query.scan, codes.row(i), i, 2.5f, 0.75f);
        ASSERT_EQ(out[i].index, i);
        ExpectClose(out[i].ip, expected.ip, scale);
        ExpectClose(out[i].estimate, expected.estimate, scale);
        ExpectClose(out[i].lower_bound, expected.lower_bound, scale);
      }
    }
  });
}

TEST(ScanBlocks, LargestSumsDoNotOverflow) {
  // Every table entry is 255 where all four bits are set: 16-bit sums overflow above 1028
  // dimensions if they are not spilled.
  ForEachTarget([] {
    for (size_t dim : kDims) {
      SCOPED_TRACE(dim);
      AlignedBuffer<float> q(dim);
      for (float& x : q.span()) x = 1;
      const Query query(q);
      Codes codes(dim, 32, 1);
      for (size_t i = 0; i < dim * 4; ++i) codes.blocks[i] = 0xff;
      std::vector<Survivor> out(32);
      ASSERT_EQ(
          ScanBlocks(query.scan, codes.blocks.data(), 1, 32, nullptr, 0, 0, 1e30f, out.data()),
          32u);
      for (const Survivor& s : out) EXPECT_NEAR(s.ip, dim, 1e-5 * static_cast<double>(dim));
    }
  });
}

TEST(ScanBlocks, KeepsWhatIsUnderTauInOrder) {
  ForEachTarget([] {
    for (size_t dim : {size_t{64}, size_t{512}, size_t{1536}}) {
      const Query query(Gaussian(dim, 9));
      const Codes codes(dim, 32 * 8, 10);
      std::vector<Survivor> all(codes.rows), out(codes.rows);
      ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, codes.rows, nullptr, 1, 1, 1e30f,
                 all.data());
      for (size_t pick : {size_t{0}, size_t{17}, size_t{100}}) {
        const float tau = all[pick].lower_bound;  // strict: the row itself is not under it
        const size_t n = ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, codes.rows,
                                    nullptr, 1, 1, tau, out.data());
        size_t k = 0;
        for (const Survivor& s : all) {
          if (!(s.lower_bound < tau)) continue;
          ASSERT_LT(k, n);
          EXPECT_EQ(out[k].index, s.index);
          EXPECT_EQ(out[k].estimate, s.estimate);
          ++k;
        }
        EXPECT_EQ(k, n);
      }
      EXPECT_EQ(ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, codes.rows, nullptr, 1,
                           1, -1e30f, out.data()),
                0u);
    }
  });
}

TEST(ScanBlocks, NeverReturnsThePaddedTailNorSkippedRows) {
  ForEachTarget([] {
    const size_t dim = 128;
    const Query query(Gaussian(dim, 11));
    for (size_t rows : {size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{70}}) {
      SCOPED_TRACE(rows);
      const Codes codes(dim, rows, rows);
      std::vector<Survivor> out(rows);
      const float infinity = std::numeric_limits<float>::infinity();
      // tau is infinite, so that even f_add = 3e38 of the padding is under it.
      size_t n = ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, rows, nullptr, 0, 0,
                            infinity, out.data());
      ASSERT_EQ(n, rows);
      std::vector<uint32_t> skip(codes.n_blocks);
      SplitMix64 random(rows);
      for (uint32_t& word : skip) word = static_cast<uint32_t>(random.Next());
      n = ScanBlocks(query.scan, codes.blocks.data(), codes.n_blocks, rows, skip.data(), 0, 0,
                     infinity, out.data());
      size_t k = 0;
      for (uint32_t i = 0; i < rows; ++i) {
        if (skip[i / 32] >> (i % 32) & 1) continue;
        ASSERT_LT(k, n);
        EXPECT_EQ(out[k++].index, i);
      }
      EXPECT_EQ(k, n);
    }
  });
}

TEST(ScanRows, EveryTargetAgreesWithTheInt8Query) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      SCOPED_TRACE(dim);
      const Query query(Gaussian(dim, dim));
      const Codes codes(dim, 40, dim + 3);
      // Rows lie unaligned and with a gap, as on a page.
      const size_t stride = codes.layout.first_bytes() + 3;
      std::vector<uint8_t> page(1 + codes.rows * stride);
      for (size_t i = 0; i < codes.rows; ++i) {
        std::memcpy(page.data() + 1 + i * stride, codes.row(i), codes.layout.first_bytes());
      }
      std::vector<float> estimate(codes.rows), lower_bound(codes.rows);
      ScanRows(query.scan, page.data() + 1, stride, codes.rows, 0.5f, 2.0f, estimate.data(),
               lower_bound.data());
      for (size_t i = 0; i < codes.rows; ++i) {
        const uint8_t* row = codes.row(i);
        int32_t sum = 0;
        for (size_t j = 0; j < dim; ++j) {
          if (row[8 + j / 8] >> (j % 8) & 1) sum += query.q8[j];
        }
        float f_add;
        uint16_t f_rescale, f_error;
        std::memcpy(&f_add, row, 4);
        std::memcpy(&f_rescale, row + 4, 2);
        std::memcpy(&f_error, row + 6, 2);
        const float product = query.scan.q8_step * static_cast<float>(sum) - query.scan.q8_sum / 2;
        const float expected = f_add + 0.5f + BfloatToFloat(f_rescale) * product;
        const float scale = std::sqrt(static_cast<float>(dim));
        ExpectClose(estimate[i], expected, scale);
        ExpectClose(lower_bound[i], expected - BfloatToFloat(f_error) * 2, scale);
        // And both kinds of scan estimate the same thing, within the rounding of the two queries.
        const Survivor block = Expected(query.scan, row, 0, 0.5f, 2.0f);
        EXPECT_NEAR(estimate[i], block.estimate, 0.05f * scale);
      }
    }
  });
}

TEST(ExDots, EveryTargetAndWidthIsExact) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      const Query query(Gaussian(dim, dim));
      for (uint32_t bits = 1; bits <= 7; ++bits) {
        SCOPED_TRACE(dim);
        SCOPED_TRACE(bits);
        SplitMix64 random(bits);
        std::vector<uint8_t> codes(dim / 8 * bits + 1);
        for (uint8_t& byte : codes) byte = static_cast<uint8_t>(random.Next());
        const uint8_t* start = codes.data() + 1;  // unaligned
        int64_t sum = 0;
        for (size_t i = 0; i < dim; ++i) {
          uint32_t e = 0;
          const uint8_t* part = start;
          for (uint32_t width : {4u, 2u, 1u}) {
            if ((bits & width) == 0) continue;
            const size_t x = i % 64, run = 8 * width;
            e = e << width |
                (part[i / 64 * run + x % run] >> (x / run * width) & ((1u << width) - 1));
            part += dim / 8 * width;
          }
          sum += int64_t{e} * query.q8[i];
        }
        float product;
        ExDots(query.scan, &start, 1, bits, &product);
        EXPECT_EQ(product, query.scan.q8_step * static_cast<float>(sum));
      }
    }
  });
}

TEST(RankCentroids, EveryTargetIsExact) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      for (size_t n : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{100}, size_t{130}}) {
        SCOPED_TRACE(dim);
        SCOPED_TRACE(n);
        const size_t padded = (n + 15) / 16 * 16;
        AlignedBuffer<int8_t> rows(n * dim), interleaved(padded * dim), q8(dim);
        AlignedBuffer<int32_t> sums(padded), out(padded);
        SplitMix64 random(n);
        for (int8_t& x : rows.span()) x = static_cast<int8_t>(random.Next());
        for (int8_t& x : q8.span()) x = static_cast<int8_t>(random.Below(255)) + 0;
        for (int8_t& x : q8.span()) x = x == -128 ? int8_t{127} : x;
        // The extremes side by side, which 16-bit pair sums would saturate on.
        for (size_t j = 0; j < 8; ++j) {
          rows[j] = j % 2 ? -128 : 127;
          q8[j] = j % 4 < 2 ? 127 : -127;
        }
        InterleaveCentroids(rows.data(), n, dim, interleaved.data(), sums.data());
        RankCentroids(q8.data(), interleaved.data(), sums.data(), n, dim, out.data());
        for (size_t i = 0; i < padded; ++i) {
          int32_t expected = 0, sum = 0;
          for (size_t j = 0; i < n && j < dim; ++j) {
            expected += q8[j] * rows[i * dim + j];
            sum += rows[i * dim + j];
          }
          ASSERT_EQ(out[i], expected) << i;
          ASSERT_EQ(sums[i], sum) << i;
        }
        if (dim > 1088) break;  // one size is enough where it is slow
      }
    }
  });
}

TEST(DotInt8, EveryTargetAgreesWithDoubles) {
  ForEachTarget([] {
    for (size_t dim : kDims) {
      const AlignedBuffer<float> q = Gaussian(dim, dim);
      std::vector<int8_t> c(dim);
      SplitMix64 random(dim);
      double expected = 0, magnitude = 0;
      for (size_t i = 0; i < dim; ++i) {
        c[i] = static_cast<int8_t>(random.Next());
        expected += double{q[i]} * c[i];
        magnitude += std::fabs(double{q[i]} * c[i]);
      }
      EXPECT_NEAR(DotInt8(q.data(), c.data(), dim), expected, 1e-6 * magnitude) << dim;
    }
  });
}

}  // namespace
}  // namespace vdb::simd
