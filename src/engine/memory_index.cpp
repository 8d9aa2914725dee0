#include "engine/memory_index.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "base/prefetch.h"
#include "base/random.h"
#include "index/calibrator.h"
#include "index/trainer.h"
#include "quant/rabitq.h"
#include "simd/distance.h"

namespace vdb::engine {
namespace {

constexpr size_t kSamplePerList = 64;
constexpr size_t kMeanRows = 20000;
constexpr size_t kAssignBatch = 384;
constexpr uint32_t kNoList = UINT32_MAX;

double MetricDistance(Metric metric, const float* a, const float* b, size_t dim) {
  switch (metric) {
    case Metric::kL2:
      return std::sqrt(static_cast<double>(simd::L2Sq(a, b, dim)));
    case Metric::kInnerProduct:
      return -static_cast<double>(simd::Dot(a, b, dim));
    case Metric::kL1:
      return simd::L1(a, b, dim);
    case Metric::kCosine:
      break;
  }
  const simd::CosineParts parts = simd::Cosine(a, b, dim);
  const double norms = std::sqrt(double{parts.norm_sq_a} * parts.norm_sq_b);
  return 1 - std::clamp(parts.dot / norms, -1.0, 1.0);
}

}  // namespace

struct MemoryIndex::Impl : index::SegmentReader {
  Impl(std::span<const float> v, uint32_t d, const MemoryIndexOptions& o)
      : vectors(v),
        dim(d),
        rows(v.size() / d),
        options(o),
        layout{quant::PaddedDim(d), o.code_bits},
        random(o.seed) {}

  const float* vector(size_t row) const { return vectors.data() + row * dim; }
  bool IsOutlier(size_t row) const;

  void FindOutliers();
  void MakeSpace();
  Result<index::Centroids> TrainCentroids(std::span<const uint32_t> sample) const;
  std::vector<uint32_t> AssignRows(const index::Centroids& centroids,
                                   index::Calibrator* calibrator) const;
  Status EncodeLists(const index::Centroids& centroids, const std::vector<uint32_t>& labels,
                     index::Calibrator* calibrator);
  Status Build();

  Status Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) override {
    for (size_t i = 0; i < frames.size(); ++i) {
      addresses[i] =
          objects[frames[i].object].data() + size_t{frames[i].frame} * index::kFrameBytes;
    }
    return {};
  }
  void Unpin() noexcept override {}
  Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) override {
    if (dead.empty()) return false;
    const uint32_t first = routing.lists[list].first_slot / 32;
    std::copy_n(dead.begin() + first, mask.size(), mask.begin());
    return true;
  }

  std::span<const float> vectors;
  uint32_t dim;
  size_t rows;
  MemoryIndexOptions options;
  quant::CodeLayout layout;
  SplitMix64 random;

  float norm_sq_limit = 0;  // of rows that train and ask
  std::unique_ptr<index::Space> space;
  std::vector<AlignedBuffer<uint8_t>> objects;
  AlignedBuffer<uint8_t> image;
  index::Routing routing{};
  std::vector<uint32_t> row_of_slot;
  std::vector<uint32_t> slot_of_row;
  std::vector<uint32_t> dead;  // bit per slot; empty: none
};

bool MemoryIndex::Impl::IsOutlier(size_t row) const {
  return !(simd::Dot(vector(row), vector(row), dim) <= norm_sq_limit);
}

void MemoryIndex::Impl::FindOutliers() {
  norm_sq_limit = std::numeric_limits<float>::infinity();
  if (options.metric == Metric::kCosine) return;  // all are of one length
  std::vector<float> norms_sq(rows);
  for (size_t i = 0; i < rows; ++i) norms_sq[i] = simd::Dot(vector(i), vector(i), dim);
  norm_sq_limit = index::SampledNormSqLimit(std::move(norms_sq));
}

void MemoryIndex::Impl::MakeSpace() {
  const quant::Rotation rotation = quant::Rotation::Random(dim, random.Next());
  space = std::make_unique<index::Space>(options.metric, rotation, std::span<const float>());
  AlignedBuffer<float> mean(layout.dim), point(layout.dim);
  std::vector<double> sum(layout.dim, 0);
  size_t count = 0;
  const size_t step = std::max<size_t>(1, rows / kMeanRows);
  for (size_t i = 0; i < rows; i += step) {
    if (IsOutlier(i) || !space->Data(vector(i), point.data())) continue;
    for (uint32_t j = 0; j < layout.dim; ++j) sum[j] += point[j];
    ++count;
  }
  for (uint32_t j = 0; j < layout.dim && count > 0; ++j) {
    mean[j] = static_cast<float>(sum[j] / static_cast<double>(count));
  }
  space = std::make_unique<index::Space>(options.metric, rotation, mean.span());
}

Result<index::Centroids> MemoryIndex::Impl::TrainCentroids(std::span<const uint32_t> sample) const {
  AlignedBuffer<float> points(sample.size() * layout.dim);
  size_t n = 0;
  for (uint32_t row : sample) {
    if (!IsOutlier(row)) n += space->Data(vector(row), points.data() + n * layout.dim);
  }
  index::TrainOptions train;
  train.lists = options.lists > 0 ? options.lists : index::AutomaticLists(rows);
  train.seed = options.seed;
  // Nothing but zero vectors under cosine: one list without rows.
  return index::Train({points.data(), std::max<size_t>(n, 1) * layout.dim}, layout.dim, train);
}

std::vector<uint32_t> MemoryIndex::Impl::AssignRows(const index::Centroids& centroids,
                                                    index::Calibrator* calibrator) const {
  const index::Assigner assigner(centroids);
  std::vector<uint32_t> labels(rows);
  AlignedBuffer<float> points(kAssignBatch * layout.dim);
  for (size_t start = 0; start < rows; start += kAssignBatch) {
    const size_t n = std::min(kAssignBatch, rows - start);
    std::vector<bool> indexed(n);
    for (size_t i = 0; i < n; ++i) {
      indexed[i] = space->Data(vector(start + i), points.data() + i * layout.dim);
    }
    assigner.Assign(points.data(), n, labels.data() + start);
    for (size_t i = 0; i < n; ++i) {
      if (!indexed[i]) labels[start + i] = kNoList;
      if (indexed[i] && options.metric == Metric::kL1) {
        calibrator->AddRowL1(start + i, vector(start + i), labels[start + i]);
      }
    }
  }
  return labels;
}

Status MemoryIndex::Impl::EncodeLists(const index::Centroids& centroids,
                                      const std::vector<uint32_t>& labels,
                                      index::Calibrator* calibrator) {
  std::vector<std::vector<uint32_t>> members(centroids.n);
  for (uint32_t row = 0; row < rows; ++row) {
    if (labels[row] != kNoList) members[labels[row]].push_back(row);
  }
  const quant::Encoder encoder(layout, space->estimator());
  const size_t row_bytes = layout.row_bytes();
  std::vector<index::ListEntry> entries(centroids.n);
  std::vector<float> radius(centroids.n);
  AlignedBuffer<float> point(layout.dim);
  std::vector<uint8_t> codes;
  slot_of_row.assign(rows, UINT32_MAX);

  for (uint32_t first = 0; first < centroids.n; first += options.lists_per_object) {
    const uint32_t last = std::min(first + options.lists_per_object, centroids.n);
    size_t a_bytes = 0, b_bytes = 0;
    for (uint32_t list = first; list < last; ++list) {
      a_bytes += (members[list].size() + 31) / 32 * layout.block_bytes();
      b_bytes += members[list].size() * layout.ex_record_bytes();
    }
    const auto object = static_cast<uint32_t>(objects.size());
    objects.emplace_back(std::max<size_t>(a_bytes + b_bytes, 1));
    uint8_t* base = objects.back().data();
    size_t a = 0, b = a_bytes;
    for (uint32_t list = first; list < last; ++list) {
      const auto n = static_cast<uint32_t>(members[list].size());
      const auto first_slot = static_cast<uint32_t>(row_of_slot.size());
      entries[list] = {object, n, static_cast<uint32_t>(a), static_cast<uint32_t>(b), first_slot};
      codes.resize(n * row_bytes);
      std::vector<uint64_t> ids(members[list].begin(), members[list].end());
      double sum_sq = 0;
      for (uint32_t i = 0; i < n; ++i) {
        const uint32_t row = members[list][i];
        space->Data(vector(row), point.data());
        encoder.Encode(point.data(), centroids.row(list), codes.data() + i * row_bytes);
        sum_sq += simd::L2Sq(point.data(), centroids.row(list), layout.dim);
        std::memcpy(base + b + i * layout.ex_record_bytes(),
                    codes.data() + i * row_bytes + layout.first_bytes(), layout.ex_record_bytes());
        slot_of_row[row] = first_slot + i;
        row_of_slot.push_back(row);
      }
      row_of_slot.resize((row_of_slot.size() + 31) / 32 * 32, UINT32_MAX);
      radius[list] = index::ListRadius(sum_sq, n);
      for (uint32_t i = 0; i < n; i += 32) {
        quant::PackBlock(layout, codes.data() + i * row_bytes, row_bytes,
                         std::min<size_t>(32, n - i), base + a + i / 32 * layout.block_bytes());
      }
      const index::EncodedList encoded{centroids.codes.data() + size_t{list} * layout.dim,
                                       centroids.scale[list],
                                       radius[list],
                                       n,
                                       base + a,
                                       layout.bits == 1 ? nullptr : base + b,
                                       ids.data()};
      VDB_RETURN_IF_ERROR(calibrator->AddList(encoded, {}));
      a += (n + 31) / 32 * layout.block_bytes();
      b += n * layout.ex_record_bytes();
    }
  }
  const index::RoutingSource source{layout.dim,      centroids.codes.span(),
                                    centroids.scale, radius,
                                    entries,         calibrator->Finish(options.recall_target)};
  image.Reset(index::RoutingImageBytes(centroids.n, layout.dim));
  VDB_RETURN_IF_ERROR(index::WriteRoutingImage(source, image.span()));
  routing = index::ViewRoutingImage(image.data());
  return {};
}

Status MemoryIndex::Impl::Build() {
  FindOutliers();
  MakeSpace();
  std::vector<uint32_t> ids(rows);
  std::iota(ids.begin(), ids.end(), 0u);
  for (size_t i = 0; i + 1 < rows; ++i) std::swap(ids[i], ids[i + random.Below(rows - i)]);
  const uint32_t lists = options.lists > 0 ? options.lists : index::AutomaticLists(rows);
  const std::span<const uint32_t> sample(ids.data(), std::min(rows, kSamplePerList * lists));
  VDB_ASSIGN_OR_RETURN(const index::Centroids centroids, TrainCentroids(sample));

  // From the end of the permutation: outside the sample wherever the table is large enough.
  const size_t n_queries = std::min<size_t>(rows, options.calibration_queries);
  std::vector<float> queries;
  std::vector<uint64_t> query_ids;
  for (size_t i = rows - n_queries; i < rows; ++i) {
    if (IsOutlier(ids[i])) continue;
    queries.insert(queries.end(), vector(ids[i]), vector(ids[i]) + dim);
    query_ids.push_back(ids[i]);
  }
  index::Calibrator calibrator(*space, layout, queries, query_ids, norm_sq_limit);
  const std::vector<uint32_t> labels = AssignRows(centroids, &calibrator);
  return EncodeLists(centroids, labels, &calibrator);
}

Result<MemoryIndex> MemoryIndex::Build(std::span<const float> vectors, uint32_t dim,
                                       const MemoryIndexOptions& options) {
  if (dim == 0 || dim > quant::kMaxDim || vectors.empty() || vectors.size() % dim != 0 ||
      vectors.size() / dim >= UINT32_MAX / 2 || options.code_bits == 0 ||
      options.code_bits > quant::kMaxBits || options.lists_per_object == 0) {
    return InvalidArgument("no index can be built from this matrix with these options");
  }
  auto impl = std::make_unique<Impl>(vectors, dim, options);
  VDB_RETURN_IF_ERROR(impl->Build());
  return MemoryIndex(std::move(impl));
}

MemoryIndex::MemoryIndex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MemoryIndex::MemoryIndex(MemoryIndex&&) noexcept = default;
MemoryIndex& MemoryIndex::operator=(MemoryIndex&&) noexcept = default;
MemoryIndex::~MemoryIndex() = default;

const index::Space& MemoryIndex::space() const { return *impl_->space; }
quant::CodeLayout MemoryIndex::layout() const { return impl_->layout; }
const index::Routing& MemoryIndex::routing() const { return impl_->routing; }
index::SegmentView MemoryIndex::view() const { return {&impl_->routing, impl_.get()}; }
void MemoryIndex::set_theta(float theta) { impl_->routing.calibration.theta = theta; }

std::span<const uint8_t> MemoryIndex::object(uint32_t i) const { return impl_->objects[i].span(); }
uint32_t MemoryIndex::n_objects() const { return static_cast<uint32_t>(impl_->objects.size()); }

uint32_t MemoryIndex::MatrixRow(index::RowId row) const {
  return impl_->row_of_slot[row & ((index::RowId{1} << 40) - 1)];
}

double MemoryIndex::Distance(const float* query, uint32_t matrix_row) const {
  return MetricDistance(impl_->options.metric, query, impl_->vector(matrix_row), impl_->dim);
}

void MemoryIndex::ReadAhead(const index::Searcher& searcher) const {
  constexpr size_t kRows = 16;
  index::RowId rows[kRows];
  const size_t n = searcher.Upcoming(rows, kRows);
  for (size_t i = 0; i < n; ++i) {
    Prefetch(impl_->vector(MatrixRow(rows[i])), impl_->dim * sizeof(float));
  }
}

void MemoryIndex::MarkDead(uint32_t matrix_row) {
  impl_->dead.resize(impl_->row_of_slot.size() / 32, 0);
  const uint32_t slot = impl_->slot_of_row[matrix_row];
  if (slot != UINT32_MAX) impl_->dead[slot / 32] |= 1u << slot % 32;
}

Status MemoryIndex::Search(index::Searcher* searcher, const float* query, size_t k,
                           const index::SearchOptions& options, std::vector<Hit>* hits) const {
  hits->clear();
  const index::SegmentView segment = view();
  searcher->Begin({&segment, 1}, query, options);
  bool read_ahead = false;
  while (hits->size() < k) {
    index::Searcher::Step step;
    index::RowId row;
    double distance;
    VDB_RETURN_IF_ERROR(searcher->Next(&step, &row, &distance));
    if (step == index::Searcher::Step::kDone) break;
    if (!std::exchange(read_ahead, true)) ReadAhead(*searcher);
    if (step == index::Searcher::Step::kNeedExact) {
      searcher->SetExact(Distance(query, MatrixRow(row)));
    } else {
      hits->push_back({MatrixRow(row), distance});
    }
  }
  return {};
}

}  // namespace vdb::engine
