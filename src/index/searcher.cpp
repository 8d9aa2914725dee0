#include "index/searcher.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/prefetch.h"
#include "index/candidates.h"
#include "index/list_order.h"
#include "index/list_scanner.h"
#include "index/query.h"

namespace vdb::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kRoundGrowth = 4;
constexpr int kMaxCorrections = 3;
// Some milliseconds: a survivor costs as much as some dozen rows of the first scan.
constexpr uint64_t kRowsPerPoll = uint64_t{1} << 20;
constexpr uint64_t kSurvivorRows = 16;
constexpr uint64_t kDeltaBatch = 256;
constexpr size_t kCentroidsAhead = 6;
// Of a segment that was not calibrated.
constexpr double kUnmeasuredLists = 32;
// For queries unlike the rows that the calibration had: of the lists that a search needs so many
// are read at least. Fewer would leave tau too large to say which others are needed.
constexpr double kLeastShare = 0.5;
// Where an upper bound was wrong tau grows after all, a little.
constexpr float kTauMargin = 0.01f;
// Where nothing was foretold, the lists that four searches in five need, and some more: searches
// scan them by the batch, and queries do not come from the table.
constexpr double kListsToSpare = 1.4;
// Those of a batch and of the one before it.
constexpr size_t kListsInWork = 16;

// L1 / L2 of a pair lies between 1 and sqrt(D); near sqrt(2 D / pi) for components that are alike.
// Uncalibrated searches take a wide interval around that.
constexpr float kDefaultL1RatioLow = 0.5f;
constexpr float kDefaultL1RatioHigh = 1.0f;

struct FoundRow {
  double order;     // the distance; infinity for NaN, which SQL sorts last as well
  double distance;  // as given
  RowId row;
  float units;
};

// For a min-heap with the standard heap functions.
struct Farther {
  bool operator()(const FoundRow& a, const FoundRow& b) const {
    return a.order != b.order ? a.order > b.order : a.row > b.row;
  }
};

struct ParkedRow {
  float lower_bound, upper_bound;
  uint64_t number;
};

}  // namespace

struct Searcher::Impl final : FramesAhead {
  Impl(const Space& s, quant::CodeLayout layout) : space(s), query(s, layout), scanner(layout) {}

  void Begin(std::span<const SegmentView> views, const float* vector, const SearchOptions& o);
  void SetL1Ratio();
  void AddDelta(const uint8_t* first_parts, size_t stride, size_t n, const uint64_t* numbers);
  Status Next(Step* step, RowId* row, double* distance);
  Status ScanRound();
  Status Poll();
  void PrefetchCentroid(const ListOrder::Entry& entry) const;
  void TakeDelta();
  void RestartTau();
  bool BeginNextRound();
  void SetExact(double distance);
  void FramesOf(size_t segment, std::vector<FrameRef>* frames) override;
  void ListsAhead(bool again);

  const Space& space;
  PreparedQuery query;
  ListScanner scanner;
  ListOrder order;
  Candidates candidates;
  std::vector<SegmentView> segments;
  std::vector<const Routing*> routings;
  std::vector<uint32_t> ahead;  // lists; scratch
  std::vector<bool> asked;      // for a segment's frames, in this search
  SearchOptions options;
  SearchStats stats;

  std::vector<ParkedRow> parked;  // delta rows not taken
  std::vector<float> delta_estimates, delta_bounds;
  std::vector<FoundRow> found;  // heap: exact, not handed out
  Candidate pending{};          // whose exact distance was asked for
  bool has_pending = false;
  bool undirected = false;  // the query is a zero vector, under cosine

  float l1_ratio_low = 1, upper_scale = 1;
  size_t k = 1;               // of this round
  size_t lists_limit = 0;     // with options.probes
  int corrections = 0;        // rounds since k was multiplied
  uint64_t late_counted = 0;  // late rows that k has been raised for
  bool round_scanned = false;
  size_t rescanned = 0, to_rescan = 0;
  uint64_t work_polled = 0;
  bool any_out = false;
  double last_out = 0;
};

void Searcher::Impl::Begin(std::span<const SegmentView> views, const float* vector,
                           const SearchOptions& o) {
  options = o;
  stats = {};
  segments.assign(views.begin(), views.end());
  routings.clear();
  for (const SegmentView& view : segments) routings.push_back(view.routing);
  query.Prepare(vector);
  undirected = space.metric() == Metric::kCosine &&
               std::all_of(vector, vector + space.dim(), [](float x) { return x == 0; });
  order.Begin(routings, query, space.estimator() == quant::Estimator::kInnerProduct,
              options.probes > 0);
  SetL1Ratio();
  corrections = 0;
  late_counted = 0;
  k = std::max<size_t>(options.first_k, 1);
  candidates.Begin(k);
  scanner.Begin(segments, &query, &candidates, upper_scale, &stats);
  parked.clear();
  found.clear();
  has_pending = false;
  lists_limit = options.probes;
  round_scanned = false;
  rescanned = to_rescan = 0;
  work_polled = 0;
  any_out = false;
  asked.assign(segments.size(), false);
  for (size_t i = 0; i < segments.size(); ++i) segments[i].reader->Follow(i, this);
}

/// To `ahead`. At first the lists that will be wanted if the search looks as far as its query lets
/// foresee. A search that has come farther is a hard one, and then tau says which lists there may
/// be left: those with a key under it, and tau hardly ever grows.
void Searcher::Impl::ListsAhead(bool again) {
  constexpr size_t kAll = std::numeric_limits<size_t>::max();
  if (options.probes > 0) {
    order.Nearest(std::max<size_t>(options.probes, 2 * scanner.size()), kInfinity, &ahead);
    return;
  }
  const float tau = candidates.tau();
  if (again && tau < kInfinity) {
    order.Nearest(kAll, tau + kTauMargin * std::abs(tau), &ahead);
    return;
  }
  const float foretold = order.Foretell();
  double least = 0;
  for (const Routing* routing : routings) {
    const Calibration& c = routing->calibration;
    if (foretold < kInfinity) {
      least += std::ceil(kLeastShare * static_cast<double>(c.mean_lists));
    } else {
      least += c.queries > 0 ? std::ceil(kListsToSpare * static_cast<double>(c.p80_lists))
                             : kUnmeasuredLists;
    }
  }
  ahead.clear();
  if (foretold < kInfinity) order.Nearest(kAll, std::min(foretold, tau), &ahead);
  if (ahead.size() <= scanner.size()) least = std::max<double>(least, 2 * scanner.size());
  if (ahead.size() < least) order.Nearest(static_cast<size_t>(least), tau, &ahead);
}

void Searcher::Impl::FramesOf(size_t segment, std::vector<FrameRef>* frames) {
  ListsAhead(asked[segment]);
  asked[segment] = true;
  // Lists are scanned in this order. Of the last ones the ex records may still be wanted; those
  // before are done with, unless it is a round that scans them again.
  size_t done = scanner.size() - std::min(scanner.size(), kListsInWork);
  if (to_rescan > 0) done = 0;
  frames->clear();
  const quant::CodeLayout& layout = scanner.layout();
  for (const uint32_t list : ahead) {
    const ListOrder::Place place = order.PlaceOf(list);
    const ListEntry& entry = routings[place.segment]->lists[place.list];
    if (entry.rows == 0) continue;
    if (done > 0) {
      --done;
      continue;
    }
    if (place.segment != segment) continue;
    const auto append = [&](uint64_t offset, uint64_t bytes) {
      if (bytes == 0) return;
      const auto last = static_cast<uint32_t>((offset + bytes - 1) / kFrameBytes);
      for (auto frame = static_cast<uint32_t>(offset / kFrameBytes); frame <= last; ++frame) {
        frames->push_back({entry.object, frame});
      }
    };
    const uint64_t blocks = (entry.rows + quant::kBlockVectors - 1) / quant::kBlockVectors;
    append(entry.a_offset, blocks * layout.block_bytes());
    append(entry.b_offset, uint64_t{entry.rows} * layout.ex_record_bytes());
  }
}

void Searcher::Impl::SetL1Ratio() {
  l1_ratio_low = upper_scale = 1;
  if (space.metric() != Metric::kL1) return;
  // One scale for the whole search: the widest interval of all segments.
  float low = kInfinity, high = 0;
  const float root = std::sqrt(static_cast<float>(space.dim()));
  const auto widen = [&](float l, float h) {
    low = std::min(low, l);
    high = std::max(high, h);
  };
  for (const Routing* routing : routings) {
    const Calibration& c = routing->calibration;
    const bool measured = c.queries > 0 && c.l1_ratio_low > 0 && c.l1_ratio_high >= c.l1_ratio_low;
    if (measured) widen(c.l1_ratio_low, c.l1_ratio_high);
    if (!measured) widen(kDefaultL1RatioLow * root, kDefaultL1RatioHigh * root);
  }
  if (routings.empty()) widen(kDefaultL1RatioLow * root, kDefaultL1RatioHigh * root);
  l1_ratio_low = low;
  upper_scale = (high / low) * (high / low);
}

void Searcher::Impl::AddDelta(const uint8_t* first_parts, size_t stride, size_t n,
                              const uint64_t* numbers) {
  delta_estimates.resize(kDeltaBatch);
  delta_bounds.resize(kDeltaBatch);
  const QueryTerms terms = query.MeanTerms();
  for (size_t start = 0; start < n; start += kDeltaBatch) {
    const size_t count = std::min<size_t>(kDeltaBatch, n - start);
    simd::ScanRows(query.scan(), first_parts + start * stride, stride, count, terms.add,
                   terms.error, delta_estimates.data(), delta_bounds.data());
    for (size_t i = 0; i < count; ++i) {
      float low = delta_bounds[i];
      float high = (2 * delta_estimates[i] - low) * upper_scale;
      if (!(low == low)) low = -kInfinity;
      if (!(high == high)) high = kInfinity;
      parked.push_back({low, high, numbers[start + i]});
      candidates.Offer(high);
    }
  }
  stats.rows_scanned += n;
}

Status Searcher::Impl::Poll() {
  const uint64_t work = stats.rows_scanned + kSurvivorRows * stats.survivors;
  if (work - work_polled < kRowsPerPoll) return {};
  work_polled = work;
  return options.poll.Check();
}

Status Searcher::Impl::ScanRound() {
  for (;;) {
    while (rescanned < to_rescan && !scanner.batch_full()) scanner.AddAgain(rescanned++);
    while (rescanned == to_rescan && !scanner.batch_full()) {
      // A fixed number of probes takes lists whatever their keys.
      if (options.probes > 0 && scanner.size() >= lists_limit) break;
      const ListOrder::Entry* next = order.Next(options.probes > 0 ? kInfinity : candidates.tau());
      if (next == nullptr) break;
      if (const ListOrder::Entry* later = order.Peek(kCentroidsAhead)) PrefetchCentroid(*later);
      const ListOrder::Place place = order.PlaceOf(next->list);
      if (routings[place.segment]->lists[place.list].rows > 0) {
        VDB_RETURN_IF_ERROR(scanner.Add(place.segment, place.list));
      }
      order.Pop();
    }
    if (scanner.batch_empty()) break;
    VDB_RETURN_IF_ERROR(Poll());
    VDB_RETURN_IF_ERROR(scanner.ScanBatch());
  }
  VDB_RETURN_IF_ERROR(scanner.Finish());
  TakeDelta();
  candidates.Prepare();
  ++stats.rounds;
  return {};
}

void Searcher::Impl::PrefetchCentroid(const ListOrder::Entry& entry) const {
  const ListOrder::Place place = order.PlaceOf(entry.list);
  const Routing& routing = *routings[place.segment];
  Prefetch(&routing.scale[place.list], sizeof(float));
  Prefetch(&routing.norm_sq[place.list], sizeof(float));
  Prefetch(routing.rows + size_t{place.list} * routing.dim, routing.dim);
  Prefetch(&routing.lists[place.list], sizeof(ListEntry));
}

void Searcher::Impl::TakeDelta() {
  const float limit = candidates.tau();
  size_t kept = 0;
  for (const ParkedRow& row : parked) {
    if (row.lower_bound <= limit) {
      candidates.AddCounted(kDeltaRow | row.number, row.lower_bound, row.upper_bound);
    } else {
      parked[kept++] = row;
    }
  }
  stats.survivors += parked.size() - kept;
  parked.resize(kept);
}

void Searcher::Impl::RestartTau() {
  candidates.BeginRound(k);
  for (const ParkedRow& row : parked) candidates.Offer(row.upper_bound);
}

bool Searcher::Impl::BeginNextRound() {
  if (candidates.tau() == kInfinity) {
    // Fewer than k rows in all that may be scanned, and all are out.
    if (options.probes == 0 || order.Next(kInfinity) == nullptr) return false;
    lists_limit += options.probes;
    k = candidates.size() + std::max<size_t>(options.first_k, 1);
    RestartTau();
  } else {
    // Where an upper bound was wrong, fewer than k rows were within tau; where a lower one was,
    // rows came late and were dropped. With what exact distances say now the same k, or one for
    // each late row more, has a larger tau: a little farther is enough.
    const float tau = candidates.tau();
    if (!options.relaxed_order) k += stats.late - std::exchange(late_counted, stats.late);
    RestartTau();
    if (candidates.tau() > tau && corrections < kMaxCorrections) {
      ++corrections;
    } else {
      corrections = 0;
      k *= kRoundGrowth;
      RestartTau();
    }
  }
  rescanned = 0;
  to_rescan = scanner.size();
  round_scanned = false;
  return true;
}

Status Searcher::Impl::Next(Step* step, RowId* row, double* distance) {
  if (has_pending) return Internal("the last exact distance has not been answered");
  for (;;) {
    if (!round_scanned) {
      const int64_t start_ns = NowNs();
      VDB_RETURN_IF_ERROR(ScanRound());
      stats.scan_ns += NowNs() - start_ns;
      round_scanned = true;
    }
    const Candidate* candidate = candidates.NextReady();
    if (!found.empty() && found.front().units <= candidates.tau() &&
        (candidate == nullptr || candidate->lower_bound >= found.front().units)) {
      std::pop_heap(found.begin(), found.end(), Farther());
      *step = Step::kRow;
      *row = found.back().row;
      *distance = found.back().distance;
      last_out = any_out ? std::max(last_out, found.back().order) : found.back().order;
      any_out = true;
      found.pop_back();
      return {};
    }
    if (candidate != nullptr) {
      pending = *candidate;
      has_pending = true;
      candidates.PopReady();
      *step = Step::kNeedExact;
      *row = pending.row;
      return {};
    }
    if (!BeginNextRound()) {
      *step = Step::kDone;
      return {};
    }
  }
}

void Searcher::Impl::SetExact(double distance) {
  if (!has_pending) return;
  has_pending = false;
  ++stats.exact;
  FoundRow result{distance, distance, pending.row, space.ToSearchUnits(distance, l1_ratio_low)};
  if (std::isnan(distance)) {
    // A zero query under cosine is as far from everything: all rows are NaN and may go out at once.
    // Otherwise NaN comes from overflow and goes out last.
    result.order = kInfinity;
    result.units = undirected ? -kInfinity : kInfinity;
  }
  candidates.Settle(result.units);
  if (any_out && result.order < last_out) {
    ++stats.late;
    if (!options.relaxed_order) return;
  }
  found.push_back(result);
  std::push_heap(found.begin(), found.end(), Farther());
}

Searcher::Searcher(const Space& space, quant::CodeLayout layout)
    : impl_(std::make_unique<Impl>(space, layout)) {}
Searcher::~Searcher() = default;

void Searcher::Begin(std::span<const SegmentView> segments, const float* query,
                     const SearchOptions& options) {
  impl_->Begin(segments, query, options);
}

void Searcher::AddDelta(const uint8_t* first_parts, size_t stride, size_t n,
                        const uint64_t* numbers) {
  impl_->AddDelta(first_parts, stride, n, numbers);
}

Status Searcher::Next(Step* step, RowId* row, double* distance) {
  return impl_->Next(step, row, distance);
}

void Searcher::SetExact(double distance) { impl_->SetExact(distance); }

void Searcher::Reject() {
  if (!impl_->has_pending) return;
  impl_->has_pending = false;
  impl_->candidates.Settle(impl_->pending.upper_bound);
  ++impl_->stats.rejected;
}

size_t Searcher::Upcoming(RowId* rows, size_t max) const {
  const std::vector<Candidate>& ready = impl_->candidates.ready();
  const size_t n = std::min(max, ready.size());
  for (size_t i = 0; i < n; ++i) rows[i] = ready[ready.size() - 1 - i].row;
  return n;
}

const SearchStats& Searcher::stats() const { return impl_->stats; }
size_t Searcher::delta_capacity() const { return impl_->parked.capacity(); }

}  // namespace vdb::index
