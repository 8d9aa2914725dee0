#include "simd/distance.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "simd_targets.h"

namespace vdb::simd {
namespace {

const size_t kLengths[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 100, 1000, 16000};

std::vector<float> Numbers(size_t n, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(random.Unit() * 2 - 1);
  return v;
}

std::vector<Half> Halves(const std::vector<float>& v) {
  std::vector<Half> out;
  for (float x : v) out.push_back(vdb::FloatToHalf(x));
  return out;
}

float Wide(float x) { return x; }
float Wide(Half x) { return vdb::HalfToFloat(x); }

/// Copies to the very end of an exact allocation, so that a sanitizer sees a read beyond n.
template <class T>
struct Exact {
  explicit Exact(const std::vector<T>& v) : data(new T[v.size()]) {
    for (size_t i = 0; i < v.size(); ++i) data[i] = v[i];
  }
  ~Exact() { delete[] data; }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  T* data;
};

template <class A, class B>
void Check(const std::vector<A>& va, const std::vector<B>& vb) {
  const size_t n = va.size();
  double l2 = 0, dot = 0, l1 = 0, aa = 0, bb = 0, magnitude = 0;
  for (size_t i = 0; i < n; ++i) {
    const double x = Wide(va[i]), y = Wide(vb[i]);
    l2 += (x - y) * (x - y);
    l1 += std::fabs(x - y);
    dot += x * y;
    magnitude += std::fabs(x * y);
    aa += x * x;
    bb += y * y;
  }
  const Exact<A> a(va);
  const Exact<B> b(vb);
  EXPECT_NEAR(L2Sq(a.data, b.data, n), l2, 1e-5 * l2);
  EXPECT_NEAR(L1(a.data, b.data, n), l1, 1e-5 * l1);
  EXPECT_NEAR(Dot(a.data, b.data, n), dot, 1e-5 * magnitude);
  const CosineParts parts = Cosine(a.data, b.data, n);
  EXPECT_NEAR(parts.dot, dot, 1e-5 * magnitude);
  EXPECT_NEAR(parts.norm_sq_a, aa, 1e-5 * aa);
  EXPECT_NEAR(parts.norm_sq_b, bb, 1e-5 * bb);
}

TEST(Distance, EveryTargetAgreesWithDoubles) {
  ForEachTarget([] {
    for (size_t n : kLengths) {
      SCOPED_TRACE(n);
      const std::vector<float> a = Numbers(n, 1), b = Numbers(n, 2);
      Check(a, b);
      Check(Halves(a), Halves(b));
      Check(a, Halves(b));
    }
  });
}

TEST(Distance, TargetNamesDiffer) {
  std::set<std::string> names;
  size_t targets = 0;
  ForEachTarget([&] {
    names.insert(TargetName());
    ++targets;
  });
  EXPECT_EQ(names.size(), targets);
#if defined(__x86_64__)
  EXPECT_TRUE(names.count("SSSE3"));
#endif
}

TEST(Distance, LengthZeroIsZero) {
  ForEachTarget([] {
    const float* none = nullptr;
    EXPECT_EQ(L2Sq(none, none, 0), 0);
    EXPECT_EQ(Cosine(none, none, 0).dot, 0);
  });
}

TEST(Distance, InfinityAndNanPropagate) {
  ForEachTarget([] {
    for (size_t n : {size_t{1}, size_t{17}, size_t{64}}) {
      std::vector<float> a(n, 1.0f), b(n, 2.0f);
      a[n - 1] = std::numeric_limits<float>::infinity();
      EXPECT_TRUE(std::isinf(L2Sq(a.data(), b.data(), n)));
      EXPECT_TRUE(std::isinf(Dot(a.data(), b.data(), n)));
      EXPECT_TRUE(std::isinf(L1(Halves(a).data(), Halves(b).data(), n)));
      a[n - 1] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(L2Sq(a.data(), b.data(), n)));
      EXPECT_TRUE(std::isnan(L1(a.data(), b.data(), n)));
      EXPECT_TRUE(std::isnan(Dot(Halves(a).data(), Halves(b).data(), n)));
    }
  });
}

TEST(Half, EveryBitPatternWidensAlike) {
  std::vector<Half> all;
  for (uint32_t bits = 0; bits < 65536; ++bits) all.push_back({static_cast<uint16_t>(bits)});
  ForEachTarget([&] {
    std::vector<float> out(all.size());
    HalfToFloat(all.data(), out.data(), all.size());
    size_t wrong = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const float expected = vdb::HalfToFloat(all[i]);
      wrong += std::isnan(expected)
                   ? !std::isnan(out[i])
                   : std::bit_cast<uint32_t>(out[i]) != std::bit_cast<uint32_t>(expected);
      // The distances widen by the same code, subnormal numbers and infinity included.
      const float zero = 0;
      const float l1 = L1(&zero, &all[i], 1);
      wrong += std::isnan(expected) ? !std::isnan(l1) : l1 != std::fabs(expected);
    }
    EXPECT_EQ(wrong, 0u);
  });
}

TEST(Half, EveryBitPatternInVectorsOfDistances) {
  ForEachTarget([] {
    for (uint32_t first = 0; first < 0x7c00; first += 64) {
      std::vector<Half> a(64), b(64, Half{0});
      double sum = 0;
      for (uint32_t i = 0; i < 64; ++i) {
        a[i].bits = static_cast<uint16_t>(first + i);
        sum += Wide(a[i]);
      }
      ASSERT_NEAR(L1(a.data(), b.data(), 64), sum, 1e-6 * sum) << first;
    }
  });
}

TEST(Half, NarrowingRoundsToNearestEven) {
  std::vector<float> in = {0.0f,      -0.0f,    1.0f,         1.0f + 0x1p-11f, 1.0f + 0x3p-11f,
                           65504.0f,  65519.0f, 65520.0f,     1e30f,           0x1p-24f,
                           0x1p-25f,  0x3p-26f, 0x1.ffcp-15f, -3.14159f,       INFINITY,
                           -INFINITY, 1e-10f,   0x1.002p0f,   2049.0f,         2051.0f};
  SplitMix64 random(3);
  for (int i = 0; i < 10000; ++i) {
    in.push_back(static_cast<float>(std::exp2(random.Unit() * 44 - 26) * (random.Unit() - 0.5)));
  }
  ForEachTarget([&] {
    std::vector<Half> out(in.size());
    FloatToHalf(in.data(), out.data(), in.size());
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(out[i].bits, vdb::FloatToHalf(in[i]).bits) << in[i];
      const float back = vdb::HalfToFloat(out[i]);
      if (std::isfinite(back)) {
        // At least -14: a zero has no exponent, and subnormals share the smallest.
        const float step = std::ldexp(1.0f, std::max(std::ilogb(in[i]), -14) - 10);
        ASSERT_LE(std::fabs(back - in[i]), step / 2) << in[i];
      }
    }
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> nans(17, nan);
    FloatToHalf(nans.data(), out.data(), nans.size());
    for (size_t i = 0; i < nans.size(); ++i) ASSERT_TRUE(std::isnan(vdb::HalfToFloat(out[i])));
  });
}

}  // namespace
}  // namespace vdb::simd
