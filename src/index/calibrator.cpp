#include "index/calibrator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "index/query.h"
#include "quant/rabitq.h"
#include "simd/distance.h"
#include "simd/scan.h"

namespace vdb::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

// The rule is fitted at rank 10; the ranks beyond are what a search that misses some of the ten
// finds instead.
constexpr size_t kRank = 10;
constexpr size_t kNeighbours = 20;

// Held-out queries reached from .004 less to .014 more than was simulated (WordNet, GloVe with and
// without norms; bounds let a search look a little farther), and 1,000 queries leave .004 to
// chance.
constexpr float kRecallMargin = 0.015f;
constexpr float kLargestTheta = 1e3f;
constexpr int kThetaSteps = 12;
// Of the neighbours' lists so many are near.
constexpr double kNearShare = 0.96;
constexpr float kLargestNearRatio = 1e3f;

// Near neighbours whose L1 / L2 ratio is outside the interval, on either side.
constexpr double kL1Tail = 0.02;

// Of so many queries the distances to all lists are kept, for mean_lists and its like.
constexpr size_t kStatisticQueries = 250;

// So many of the calibration's queries look no farther than is foretold. Of held-out ones somewhat
// fewer do (.83 to .93; WordNet, GloVe with and without norms): searches scan lists by the batch,
// under bounds that are wider than distances, and the calibration counts few queries.
constexpr double kForetoldShare = 0.92;

// A row far outside of the range of its list is encoded with an error factor of 3e38 and no
// estimate (quant::Encoder). Others have smaller factors.
constexpr float kErrorWithoutEstimate = 2.9e38f;

constexpr uint64_t kRowsPerPoll = uint64_t{1} << 20;
constexpr size_t kBestFirst = 12;

struct Neighbour {
  float distance;  // search units; L1: the distance itself
  float l2;        // L1 only
  float list_add;  // QueryTerms::add of its list
  uint32_t list;
};

struct CalibrationQuery {
  PreparedQuery prepared;
  uint64_t id;
  std::vector<Neighbour> nearest;  // ascending, at most kNeighbours

  float Bound() const { return nearest.size() < kNeighbours ? kInfinity : nearest.back().distance; }
  void Insert(const Neighbour& neighbour) {
    if (!(neighbour.distance < Bound())) return;
    if (nearest.size() == kNeighbours) nearest.pop_back();
    const auto after = std::upper_bound(
        nearest.begin(), nearest.end(), neighbour,
        [](const Neighbour& a, const Neighbour& b) { return a.distance < b.distance; });
    nearest.insert(after, neighbour);
  }
};

bool HasEstimate(const simd::Survivor& survivor, float error) {
  return error == 0 || survivor.estimate - survivor.lower_bound < kErrorWithoutEstimate * error;
}

float Quantile(std::vector<float>* values, double share) {
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values->size())));
  const size_t index = std::clamp<size_t>(rank, 1, values->size()) - 1;
  const auto nth = values->begin() + static_cast<ptrdiff_t>(index);
  std::nth_element(values->begin(), nth, values->end());
  return *nth;
}

}  // namespace

struct Calibrator::Impl {
  Impl(const Space& s, quant::CodeLayout l, float limit)
      : space(s), layout(l), norm_sq_limit(limit) {}

  void ScanList(const EncodedList& list, uint32_t number, const QueryTerms& terms,
                CalibrationQuery* query);
  // From a neighbour's distance to what keys are compared with.
  float Reach(const Neighbour& neighbour, const Calibration& rule) const;
  /// A list's key is mean - theta * spread; it is negative if theta is above `inner`.
  struct Distances {
    float mean, spread, inner;
  };
  Distances DistancesOf(const CalibrationQuery& query, float list_add, uint32_t list,
                        const Calibration& rule) const;
  float Key(const CalibrationQuery& query, float list_add, uint32_t list,
            const Calibration& rule) const {
    const Distances distances = DistancesOf(query, list_add, list, rule);
    return rule.theta > distances.inner ? -1.0f : distances.mean - rule.theta * distances.spread;
  }
  void FitL1(Calibration* out) const;
  void FitNearRatio(Calibration* out) const;
  void FitTheta(Calibration* out) const;
  void Measure(Calibration* out) const;
  /// What one query finds by a rule: how many of its nearest, and how far it looked.
  struct Outcome {
    size_t hits, wanted;
    float last_key;  // of the neighbours' lists that were scanned
    float reach;
  };
  Outcome Simulate(const CalibrationQuery& query, const Calibration& rule) const;
  double RecallOf(const Calibration& rule) const;

  const Space& space;
  quant::CodeLayout layout;
  float norm_sq_limit;
  std::vector<float> vectors;  // L1 only: the queries as the user gave them
  std::vector<CalibrationQuery> queries;
  std::vector<float> radius;     // of each list
  std::vector<uint32_t> rows;    // of each list
  std::vector<float> list_adds;  // QueryTerms::add (lists, statistic queries)
  size_t statistic_queries = 0;
  std::vector<simd::Survivor> survivors;
};

Calibrator::Calibrator(const Space& space, quant::CodeLayout layout, std::span<const float> queries,
                       std::span<const uint64_t> ids, float norm_sq_limit)
    : impl_(std::make_unique<Impl>(space, layout, norm_sq_limit)) {
  impl_->queries.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    impl_->queries.push_back({PreparedQuery(space, layout), ids[i], {}});
    impl_->queries.back().prepared.Prepare(queries.data() + i * space.dim());
    impl_->queries.back().nearest.reserve(kNeighbours);
  }
  impl_->statistic_queries = std::min(ids.size(), kStatisticQueries);
  if (space.metric() == Metric::kL1) impl_->vectors.assign(queries.begin(), queries.end());
}

Calibrator::~Calibrator() = default;

void Calibrator::AddRowL1(uint64_t id, const float* vector, uint32_t list) {
  const size_t dim = impl_->space.dim();
  for (size_t i = 0; i < impl_->queries.size(); ++i) {
    CalibrationQuery& query = impl_->queries[i];
    const float* own = impl_->vectors.data() + i * dim;
    const float distance = simd::L1(own, vector, dim);
    if (!(distance < query.Bound()) || id == query.id) continue;
    query.Insert({distance, std::sqrt(simd::L2Sq(own, vector, dim)), 0, list});
  }
}

Status Calibrator::AddList(const EncodedList& list, const InterruptPoll& poll) {
  const auto number = static_cast<uint32_t>(impl_->rows.size());
  impl_->rows.push_back(list.rows);
  impl_->radius.push_back(list.radius);
  float norm_sq = 0;
  for (uint32_t j = 0; j < impl_->layout.dim; ++j) {
    const float component = list.scale * static_cast<float>(list.centroid[j]);
    norm_sq += component * component;
  }
  if (impl_->survivors.size() < list.rows) impl_->survivors.resize(list.rows);
  uint64_t work = 0;
  for (size_t i = 0; i < impl_->queries.size(); ++i) {
    CalibrationQuery& query = impl_->queries[i];
    const QueryTerms terms = query.prepared.Terms(list.centroid, list.scale, norm_sq);
    if (i < impl_->statistic_queries) impl_->list_adds.push_back(terms.add);
    if (impl_->space.metric() == Metric::kL1) {
      for (Neighbour& neighbour : query.nearest) {
        if (neighbour.list == number) neighbour.list_add = terms.add;
      }
    } else if (list.rows > 0) {
      impl_->ScanList(list, number, terms, &query);
    }
    work += list.rows;
    if (work > kRowsPerPoll) {
      VDB_RETURN_IF_ERROR(poll.Check());
      work = 0;
    }
  }
  return poll.Check();
}

void Calibrator::Impl::ScanList(const EncodedList& list, uint32_t number, const QueryTerms& terms,
                                CalibrationQuery* query) {
  const size_t blocks = (list.rows + quant::kBlockVectors - 1) / quant::kBlockVectors;
  const size_t found =
      simd::ScanBlocks(query->prepared.scan(), list.blocks, blocks, list.rows, nullptr, terms.add,
                       terms.error, query->Bound(), survivors.data());
  const float least = space.estimator() == quant::Estimator::kInnerProduct
                          ? -std::sqrt(query->prepared.norm_sq()) * std::sqrt(norm_sq_limit)
                          : -kInfinity;
  const auto begin = survivors.begin();
  if (found >= 2 * kBestFirst) {
    std::nth_element(begin, begin + kBestFirst, begin + static_cast<ptrdiff_t>(found),
                     [](const simd::Survivor& a, const simd::Survivor& b) {
                       return a.lower_bound < b.lower_bound;
                     });
  }
  for (size_t i = 0; i < found; ++i) {
    const simd::Survivor& s = survivors[i];
    if (!(s.lower_bound < query->Bound()) || list.ids[s.index] == query->id) continue;
    if (!HasEstimate(s, terms.error)) continue;
    float value = s.estimate;
    if (layout.bits > 1) {
      const uint8_t* record = list.ex_records + s.index * layout.ex_record_bytes();
      value = query->prepared.ex_estimator()(record, s.ip, terms.add, terms.ex_error).value;
    }
    // By inner product rows out of all proportion would be all queries' neighbours, and say nothing
    // of what those that come after them need.
    if (value < least) continue;
    query->Insert({value, 0, terms.add, number});
  }
}

float Calibrator::Impl::Reach(const Neighbour& neighbour, const Calibration& rule) const {
  if (space.metric() != Metric::kL1) return neighbour.distance;
  const float l2 = neighbour.distance / rule.l1_ratio_low;
  return l2 * l2;
}

Calibrator::Impl::Distances Calibrator::Impl::DistancesOf(const CalibrationQuery& query, float add,
                                                          uint32_t list,
                                                          const Calibration& rule) const {
  const float extent = radius[list];
  Distances out;
  if (space.estimator() == quant::Estimator::kInnerProduct) {
    out = {add, extent * std::sqrt(query.prepared.norm_sq()), kInfinity};
  } else {
    const float square = std::max(add, 0.0f);
    const float distance = std::sqrt(square);
    out = {square + extent * extent, 2 * extent * std::max(distance, rule.near_ratio * extent),
           extent > 0 ? distance / extent : kInfinity};
  }
  // Searches scan a list first whose key is no number, with whatever theta.
  if (!std::isfinite(out.mean) || !std::isfinite(out.spread)) return {-kLargest, 0, kInfinity};
  return out;
}

void Calibrator::Impl::FitL1(Calibration* out) const {
  std::vector<float> ratios;
  for (const CalibrationQuery& query : queries) {
    for (size_t i = 0; i < std::min(kRank, query.nearest.size()); ++i) {
      const Neighbour& neighbour = query.nearest[i];
      // Squares overflow before sums do.
      if (neighbour.l2 > 0 && neighbour.l2 <= kLargest)
        ratios.push_back(neighbour.distance / neighbour.l2);
    }
  }
  if (ratios.empty()) return;
  out->l1_ratio_low = Quantile(&ratios, kL1Tail);
  out->l1_ratio_high = Quantile(&ratios, 1 - kL1Tail);
}

void Calibrator::Impl::FitNearRatio(Calibration* out) const {
  if (space.estimator() == quant::Estimator::kInnerProduct) return;
  std::vector<float> ratios;
  for (const CalibrationQuery& query : queries) {
    for (size_t i = 0; i < std::min(kRank, query.nearest.size()); ++i) {
      const Neighbour& neighbour = query.nearest[i];
      const float distance = std::sqrt(std::max(neighbour.list_add, 0.0f));
      const float extent = radius[neighbour.list];
      if (distance < kLargestNearRatio * extent) ratios.push_back(distance / extent);
    }
  }
  if (!ratios.empty()) out->near_ratio = Quantile(&ratios, kNearShare);
}

void Calibrator::Impl::FitTheta(Calibration* out) const {
  std::vector<float> needed;
  for (const CalibrationQuery& query : queries) {
    if (query.nearest.empty()) continue;
    // tau ends at the tenth distance, whichever of the ten is meant.
    const size_t n = std::min(kRank, query.nearest.size());
    const float reach = Reach(query.nearest[n - 1], *out);
    for (size_t i = 0; i < n; ++i) {
      const Neighbour& neighbour = query.nearest[i];
      const Distances d = DistancesOf(query, neighbour.list_add, neighbour.list, *out);
      // A list without extent needs no margin: its rows are where its centroid is.
      const float theta = d.spread > 0 ? (d.mean - reach) / d.spread : 0;
      needed.push_back(std::clamp(std::min(theta, d.inner), 0.0f, kLargestTheta));
    }
  }
  if (needed.empty()) return;
  const float share = std::min(1.0f, out->recall_target + kRecallMargin);
  // With this every neighbour's list is scanned although tau never is above the true tenth
  // distance. A search that misses one looks farther in its place, so less is enough: the least
  // theta whose simulated recall is the share.
  float high = Quantile(&needed, share), low = 0;
  Calibration rule = *out;
  for (int step = 0; step < kThetaSteps; ++step) {
    rule.theta = (low + high) / 2;
    (RecallOf(rule) >= share ? high : low) = rule.theta;
  }
  out->theta = high;
}

Calibrator::Impl::Outcome Calibrator::Impl::Simulate(const CalibrationQuery& query,
                                                     const Calibration& rule) const {
  struct Seen {
    float key, reach;
  };
  std::array<Seen, kNeighbours> seen;
  const size_t n = query.nearest.size();
  const size_t rank = std::min(kRank, n);
  for (size_t i = 0; i < n; ++i) {
    const Neighbour& neighbour = query.nearest[i];
    seen[i] = {Key(query, neighbour.list_add, neighbour.list, rule), Reach(neighbour, rule)};
  }
  const auto end = seen.begin() + static_cast<ptrdiff_t>(n);
  std::sort(seen.begin(), end, [](const Seen& a, const Seen& b) { return a.key < b.key; });
  // Lists come in order of key until the rank-th best distance found so far is within the next
  // key. That distance only changes where a neighbour's list comes.
  std::array<float, kNeighbours> best;
  size_t found = 0;
  // Were nothing known at first, the first list would be scanned whatever its key, and theta need
  // not be enough for it. But the delta or another segment may have rows as near: ten no farther
  // than the farthest neighbour.
  float reach = n == kNeighbours ? Reach(query.nearest.back(), rule) : kInfinity;
  float last_key = -kInfinity;
  for (auto s = seen.begin(); s != end && (s->key < reach || s->key == last_key); ++s) {
    last_key = s->key;  // the same for neighbours of one list, which come together
    size_t at = found++;
    for (; at > 0 && best[at - 1] > s->reach; --at) best[at] = best[at - 1];
    best[at] = s->reach;
    if (found >= rank) reach = std::min(reach, best[rank - 1]);
  }
  const float truth = Reach(query.nearest[rank - 1], rule);
  const auto within =
      std::upper_bound(best.begin(), best.begin() + static_cast<ptrdiff_t>(found), truth);
  const auto hits = static_cast<size_t>(within - best.begin());
  return {std::min(hits, rank), rank, last_key, reach};
}

double Calibrator::Impl::RecallOf(const Calibration& rule) const {
  size_t hits = 0, wanted = 0;
  for (const CalibrationQuery& query : queries) {
    if (query.nearest.empty()) continue;
    const Outcome outcome = Simulate(query, rule);
    hits += outcome.hits;
    wanted += outcome.wanted;
  }
  return wanted == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(wanted);
}

void Calibrator::Impl::Measure(Calibration* out) const {
  double lists = 0, codes = 0;
  std::vector<float> counts, reaches;
  Calibration foretelling = *out;
  foretelling.near_ratio = kReachNearRatio;
  for (size_t q = 0; q < statistic_queries; ++q) {
    const CalibrationQuery& query = queries[q];
    if (query.nearest.empty()) continue;
    const Outcome outcome = Simulate(query, *out);
    double count = 0;
    float least_key = kInfinity;
    size_t first = 0;
    // By L1 the search looks farther than this: it knows an interval of each distance until the row
    // is read. By how much is between nothing and the whole interval.
    const float needed = std::max(outcome.reach, outcome.last_key) *
                         std::sqrt(out->l1_ratio_high / out->l1_ratio_low);
    float reach = kLargestTheta;  // the largest with which no key is under what was needed
    for (size_t list = 0; list < rows.size(); ++list) {
      if (rows[list] == 0) continue;
      const float add = list_adds[list * statistic_queries + q];
      const Distances distances = DistancesOf(query, add, static_cast<uint32_t>(list), foretelling);
      if (distances.spread > 0)
        reach = std::min(reach, (distances.mean - needed) / distances.spread);
      const float key = Key(query, add, static_cast<uint32_t>(list), *out);
      if (key < least_key) {
        least_key = key;
        first = list;
      }
      // Up to the last key lists were scanned whatever the reach became then.
      if (!(key < outcome.reach || key <= outcome.last_key)) continue;
      ++count;
      codes += rows[list];
    }
    if (count == 0) {  // A search that knows nothing yet scans one.
      count = 1;
      codes += rows[first];
    }
    lists += count;
    counts.push_back(static_cast<float>(count));
    reaches.push_back(reach);
  }
  out->measured_recall = static_cast<float>(RecallOf(*out));
  if (counts.empty()) return;
  out->mean_lists = static_cast<float>(lists / static_cast<double>(counts.size()));
  out->mean_rows = static_cast<float>(codes / static_cast<double>(counts.size()));
  out->p80_lists = Quantile(&counts, 0.8);
  const float reach = Quantile(&reaches, 1 - kForetoldShare);
  if (std::abs(reach) <= kLargestTheta) out->reach = reach;
}

Calibration Calibrator::Finish(float recall_target) const {
  Calibration out;
  out.recall_target = recall_target;
  for (const CalibrationQuery& query : impl_->queries) out.queries += !query.nearest.empty();
  if (out.queries == 0) return out;
  if (impl_->space.metric() == Metric::kL1) impl_->FitL1(&out);
  impl_->FitNearRatio(&out);
  impl_->FitTheta(&out);
  impl_->Measure(&out);
  return out;
}

}  // namespace vdb::index
