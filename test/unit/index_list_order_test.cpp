#include "index/list_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "index/smallest_k.h"
#include "index_samples.h"

namespace vdb::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

engine::MemoryIndex BuildIndex(const testing::Matrix& base, Metric metric) {
  engine::MemoryIndexOptions options;
  options.metric = metric;
  options.lists = 300;
  options.calibration_queries = 50;
  return std::move(engine::MemoryIndex::Build(base.values, base.dim, options)).value();
}

// All lists of two segments come once, in order of what the exact keys are.
TEST(ListOrder, GivesEachListOnceByKey) {
  const testing::Matrix base = testing::Clustered(3000, 64, 100, 7);
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    const engine::MemoryIndex index = BuildIndex(base, metric);
    const Routing& routing = index.routing();
    const bool by_product = metric == Metric::kInnerProduct;
    PreparedQuery query(index.space(), index.layout());
    query.Prepare(base.row(5));
    const std::vector<const Routing*> routings(2, &routing);
    ListOrder order;
    for (const bool by_distance : {false, true}) {
      order.Begin(routings, query, by_product, by_distance);
      std::set<std::pair<uint32_t, uint32_t>> seen;
      float previous = -kInfinity;
      double worst = 0;
      while (const ListOrder::Entry* entry = order.Next(kInfinity)) {
        const ListOrder::Place place = order.PlaceOf(entry->list);
        ASSERT_LT(place.list, routing.n_lists);
        EXPECT_TRUE(seen.insert({place.segment, place.list}).second);
        EXPECT_GE(entry->key, previous);
        previous = entry->key;
        const QueryTerms terms =
            query.Terms(routing.rows + size_t{place.list} * routing.dim, routing.scale[place.list],
                        routing.norm_sq[place.list]);
        const Calibration& rule = routing.calibration;
        const float radius = by_distance ? 0 : routing.radius[place.list];
        float key = terms.add - rule.theta * radius * std::sqrt(query.norm_sq());
        if (!by_product) {
          key = terms.add + radius * radius -
                2 * rule.theta * radius * std::max(std::sqrt(terms.add), rule.near_ratio * radius);
          const float inside = terms.add - rule.theta * radius * (rule.theta * radius);
          if (inside < 0) key = inside;
        }
        worst = std::max<double>(worst, std::fabs(key - entry->key));
        order.Pop();
      }
      EXPECT_EQ(seen.size(), 2 * routing.n_lists);
      EXPECT_LT(worst, .03 * query.norm_sq());  // of rounding the query to 8 bits
    }
  }
}

TEST(ListOrder, StopsAtTheLimitAndGoesOnWithALargerOne) {
  const testing::Matrix base = testing::Clustered(3000, 64, 100, 7);
  const engine::MemoryIndex index = BuildIndex(base, Metric::kL2);
  PreparedQuery query(index.space(), index.layout());
  query.Prepare(base.row(9));
  const Routing* routing = &index.routing();
  const auto take = [&](ListOrder* order, float limit, std::vector<uint32_t>* out) {
    while (const ListOrder::Entry* entry = order->Next(limit)) {
      EXPECT_LT(entry->key, limit);
      out->push_back(entry->list);
      order->Pop();
    }
  };
  ListOrder order;
  std::vector<uint32_t> all, stepwise;
  std::vector<float> keys;
  order.Begin({&routing, 1}, query, false, false);
  for (; order.Next(kInfinity) != nullptr; order.Pop()) {
    all.push_back(order.Next(kInfinity)->list);
    keys.push_back(order.Next(kInfinity)->key);
  }
  order.Begin({&routing, 1}, query, false, false);
  for (const size_t n : {3u, 50u, 20u, 51u, 200u}) {
    take(&order, keys[n], &stepwise);
    ASSERT_GE(stepwise.size(), n);
  }
  EXPECT_EQ(stepwise.size(), 200u);
  EXPECT_TRUE(std::equal(stepwise.begin(), stepwise.end(), all.begin()));
  take(&order, kInfinity, &stepwise);
  EXPECT_EQ(stepwise, all);
}

// The least key by the rule of Calibration::reach, of lists that have rows and around none of which
// the query is.
TEST(ListOrder, ForetellsByTheNearestList) {
  const testing::Matrix base = testing::Clustered(3000, 64, 100, 7);
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    const engine::MemoryIndex index = BuildIndex(base, metric);
    Routing routing = index.routing();
    const bool by_product = metric == Metric::kInnerProduct;
    std::vector<ListEntry> lists(routing.lists, routing.lists + routing.n_lists);
    routing.lists = lists.data();
    routing.calibration.reach = .3f;
    PreparedQuery query(index.space(), index.layout());
    query.Prepare(base.row(5));
    const std::vector<const Routing*> routings(2, &routing);
    ListOrder order;
    order.Begin(routings, query, by_product, false);
    uint32_t least_of = 0;
    const auto foretold = [&] {
      float least = kInfinity;
      for (uint32_t i = 0; i < routing.n_lists; ++i) {
        if (lists[i].rows == 0) continue;
        const float add =
            query
                .Terms(routing.rows + size_t{i} * routing.dim, routing.scale[i], routing.norm_sq[i])
                .add;
        const float radius = routing.radius[i], reach = routing.calibration.reach;
        float key = add - reach * radius * std::sqrt(query.norm_sq());
        if (!by_product) {
          if (std::sqrt(add) <= reach * radius) continue;
          key = add + radius * radius - 2 * reach * radius * std::max(std::sqrt(add), radius);
        }
        if (key < least) least_of = i;
        least = std::min(least, key);
      }
      return least;
    };
    const float rounding = .03f * query.norm_sq();
    EXPECT_NEAR(order.Foretell(), foretold(), rounding);
    const uint32_t nearest = least_of;
    const float with_all = order.Foretell();
    lists[nearest].rows = 0;
    EXPECT_GT(order.Foretell(), with_all);
    EXPECT_NEAR(order.Foretell(), foretold(), rounding);
    // Wide around the query, a list says nothing.
    std::vector<float> radius(routing.radius, routing.radius + (routing.n_lists + 15) / 16 * 16);
    routing.radius = radius.data();
    if (!by_product) {
      const float without = order.Foretell();
      radius[nearest] = 1e3f;
      lists[nearest].rows = 1;
      EXPECT_EQ(order.Foretell(), without);
    }
    routing.calibration.reach = 0;
    EXPECT_EQ(order.Foretell(), kInfinity);
  }
}

TEST(SmallestK, IsTheKthSmallest) {
  for (const size_t k : {1, 10, 32, 33, 200}) {
    SmallestK smallest;
    smallest.Reset(k);
    SplitMix64 random(k);
    std::vector<float> values;
    for (size_t i = 0; i < 500; ++i) {
      const auto value = static_cast<float>(random.Below(300)) - 100;
      values.push_back(value);
      smallest.Offer(value);
      smallest.Offer(std::numeric_limits<float>::quiet_NaN());
      std::sort(values.begin(), values.end());
      ASSERT_EQ(smallest.bound(), values.size() < k ? kInfinity : values[k - 1]);
    }
  }
}

}  // namespace
}  // namespace vdb::index
