#include "simd/list_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "simd_targets.h"

namespace vdb::simd {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

struct Lists {
  explicit Lists(size_t count)
      : n(count),
        padded((count + 15) / 16 * 16),
        products(padded),
        scale(padded),
        norm_sq(padded),
        radius(padded),
        keys(padded),
        minima(padded / 16) {
    SplitMix64 random(count);
    for (size_t i = 0; i < n; ++i) {
      products[i] = static_cast<int32_t>(random.Below(20000)) - 10000;
      scale[i] = static_cast<float>(random.Unit()) * .01f;
      norm_sq[i] = 1 + static_cast<float>(random.Unit());
      radius[i] = static_cast<float>(random.Unit());
    }
  }
  void Run(const ListKeyQuery& query) {
    ListKeys(query, products.data(), scale.data(), norm_sq.data(), radius.data(), n, keys.data(),
             minima.data());
  }

  size_t n, padded;
  AlignedBuffer<int32_t> products;
  AlignedBuffer<float> scale, norm_sq, radius, keys, minima;
};

TEST(ListKeys, FollowTheirFormulaOnEveryTarget) {
  for (const int kind : {0, 1, 2}) {
    const bool by_product = kind == 1;
    for (const size_t n : {1, 15, 16, 17, 100}) {
      // Some lists are nearer than 3 radii, some are not.
      const ListKeyQuery query{by_product, .02f, 1.5f, -.7f, .4f, 3, kind == 2};
      ForEachTarget([&] {
        Lists lists(n);
        lists.Run(query);
        for (size_t i = 0; i < n; ++i) {
          const double product = .02 * lists.scale[i] * lists.products[i];
          double key = -.7 - product - .4 * lists.radius[i] * std::sqrt(1.5);
          if (!by_product) {
            const double d_sq = std::max(1.5 + lists.norm_sq[i] - 2 * product, 0.0);
            const double r = kind == 2 ? 0 : lists.radius[i];
            key = d_sq + r * r - 2 * .4 * r * std::max(std::sqrt(d_sq), 3 * r);
            if (d_sq < .4 * r * .4 * r) key = d_sq - .4 * r * .4 * r;
          }
          EXPECT_NEAR(lists.keys[i], key, 1e-5 * (1 + std::fabs(key))) << i;
        }
        for (size_t i = n; i < lists.padded; ++i) EXPECT_EQ(lists.keys[i], kInfinity);
        for (size_t g = 0; g * 16 < n; ++g) {
          const float* keys = lists.keys.data() + g * 16;
          EXPECT_EQ(lists.minima[g], *std::min_element(keys, keys + 16));
        }
      });
    }
  }
}

TEST(ListKeys, PutListsWithoutAProperKeyFirst) {
  ForEachTarget([] {
    Lists lists(40);
    lists.norm_sq[3] = kInfinity;
    lists.radius[20] = std::numeric_limits<float>::quiet_NaN();
    lists.radius[39] = kInfinity;
    lists.Run({false, .02f, 1.5f, 0, .4f, 1, false});
    for (const size_t i : {3, 20, 39}) EXPECT_EQ(lists.keys[i], -kLargest) << i;
    for (const size_t g : {0, 1, 2}) EXPECT_EQ(lists.minima[g], -kLargest);
  });
}

TEST(SelectKeys, GivesWhatLiesInTheInterval) {
  Lists lists(100);
  lists.Run({false, .02f, 1.5f, 0, .4f, 1, false});
  const float low = lists.keys[7], high = std::max(lists.keys[50], low + .3f);
  std::vector<uint32_t> expected;
  for (uint32_t i = 0; i < 100; ++i) {
    if (lists.keys[i] > low && lists.keys[i] <= high) expected.push_back(i);
  }
  ASSERT_FALSE(expected.empty());
  ForEachTarget([&] {
    std::vector<uint32_t> out(lists.padded);
    out.resize(SelectKeys(lists.keys.data(), lists.minima.data(), lists.padded / 16, low, high,
                          out.data()));
    EXPECT_EQ(out, expected);
    out.resize(lists.padded);
    EXPECT_EQ(SelectKeys(lists.keys.data(), lists.minima.data(), lists.padded / 16, -kInfinity,
                         kLargest, out.data()),
              100u);
  });
}

TEST(RankKeys, IsAStableOrder) {
  for (const size_t n : {1, 2, 16, 17, 63, 200}) {
    SplitMix64 random(n);
    std::vector<float> values(n);
    for (float& v : values) v = static_cast<float>(random.Below(20)) - 10;  // many are equal
    std::vector<uint32_t> order(n);
    for (uint32_t i = 0; i < n; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
    ForEachTarget([&] {
      AlignedBuffer<float> keys((n + 15) / 16 * 16);
      AlignedBuffer<uint32_t> ranks(keys.size());
      std::copy(values.begin(), values.end(), keys.data());
      RankKeys(keys.data(), n, ranks.data());
      for (uint32_t i = 0; i < n; ++i) EXPECT_EQ(ranks[order[i]], i);
    });
  }
}

}  // namespace
}  // namespace vdb::simd
