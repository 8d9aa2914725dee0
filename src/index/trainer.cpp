#include "index/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/random.h"
#include "index/kmeans.h"
#include "simd/assign.h"

namespace vdb::index {
namespace {

// Up to so many lists plain k-means is quick enough.
constexpr uint32_t kFlatLists = 128;
// Points for the centroids of the upper level, which only divide the sample.
constexpr size_t kUpperPointsPerCell = 256;
// Full passes after the two levels: two at least, more while they cost less than half a second:
// they make searches hardly quicker (GloVe: 3 and 10 passes within 1 %).
constexpr uint32_t kMinFullPasses = 2;
constexpr double kFullPassWork = 5e10;

// Sums over the squares of longer vectors leave the range of float, and with them centroids and
// radii.
constexpr float kMaxSampledNormSq = 1e36f;
// Of the vectors that are not zero nine in ten are no longer than a thousandth of the limit: real
// sets are far from it, and at it a mean still leaves them some digits.
constexpr double kProportionateShare = 0.9;
constexpr float kProportionSq = 1e6f;

struct Trained {
  AlignedBuffer<float> centroids;  // (k, dim)
  std::vector<uint32_t> cells;     // (k,) upper-level cell of each
};

// Lists of each cell: in proportion to its points, at least one for a cell that has any, never more
// than it has points; k in all.
std::vector<uint32_t> ShareLists(const std::vector<size_t>& points, uint32_t k) {
  size_t total = 0;
  for (size_t n : points) total += n;
  std::vector<uint32_t> lists(points.size(), 0);
  uint32_t given = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i] == 0) continue;
    lists[i] = std::max<uint32_t>(1, static_cast<uint32_t>(uint64_t{k} * points[i] / total));
    given += lists[i];
  }
  // The rest one by one to where lists are the fullest, or from where they are the emptiest.
  const auto fill = [&](size_t i) { return static_cast<double>(points[i]) / lists[i]; };
  while (given != k) {
    size_t best = points.size();
    for (size_t i = 0; i < points.size(); ++i) {
      if (given < k ? lists[i] == 0 || lists[i] >= points[i] : lists[i] <= 1) continue;
      if (best == points.size() || (given < k ? fill(i) > fill(best) : fill(i) < fill(best))) {
        best = i;
      }
    }
    if (best == points.size()) break;
    given < k ? (++lists[best], ++given) : (--lists[best], --given);
  }
  return lists;
}

Result<Trained> StartTwoLevel(const PointsView& points, uint32_t k, const TrainOptions& options,
                              SplitMix64* random) {
  const uint32_t dim = points.dim;
  const auto cells = static_cast<uint32_t>(std::lround(std::sqrt(static_cast<double>(k))));
  const auto upper_n = std::min(points.n, size_t{cells} * kUpperPointsPerCell);
  AlignedBuffer<float> upper_points = RandomStart(points, static_cast<uint32_t>(upper_n), random);
  const PointsView upper{upper_points.data(), upper_n, dim};
  AlignedBuffer<float> upper_centroids = RandomStart(upper, cells, random);
  std::vector<uint32_t> counts;
  VDB_RETURN_IF_ERROR(
      Lloyd(upper, cells, options.iterations, options.poll, &upper_centroids, &counts));
  std::vector<uint32_t> labels(points.n);
  VDB_RETURN_IF_ERROR(AssignPoints(points, upper_centroids, cells, options.poll, labels.data()));
  std::vector<std::vector<size_t>> members(cells);
  for (size_t i = 0; i < points.n; ++i) members[labels[i]].push_back(i);
  std::vector<size_t> sizes;
  for (const auto& cell : members) sizes.push_back(cell.size());
  const std::vector<uint32_t> shares = ShareLists(sizes, k);

  Trained out;
  out.centroids.Reset(size_t{k} * dim);
  for (uint32_t cell = 0; cell < cells; ++cell) {
    if (shares[cell] == 0) continue;
    AlignedBuffer<float> gathered(members[cell].size() * dim);
    for (size_t i = 0; i < members[cell].size(); ++i) {
      std::memcpy(gathered.data() + i * dim, points.row(members[cell][i]), dim * sizeof(float));
    }
    const PointsView view{gathered.data(), members[cell].size(), dim};
    AlignedBuffer<float> centroids = RandomStart(view, shares[cell], random);
    VDB_RETURN_IF_ERROR(
        Lloyd(view, shares[cell], options.iterations, options.poll, &centroids, &counts));
    std::memcpy(out.centroids.data() + out.cells.size() * dim, centroids.data(),
                size_t{shares[cell]} * dim * sizeof(float));
    out.cells.insert(out.cells.end(), shares[cell], cell);
  }
  return out;
}

Centroids Quantise(const PointsView& rows, std::span<const uint32_t> order) {
  const uint32_t dim = rows.dim;
  AlignedBuffer<int8_t> codes(order.size() * dim);
  std::vector<float> scale(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const float* row = rows.row(order[i]);
    float largest = 0;
    for (uint32_t j = 0; j < dim; ++j) largest = std::max(largest, std::fabs(row[j]));
    scale[i] = largest / 127;
    const float inverse = largest > 0 ? 127 / largest : 0;
    for (uint32_t j = 0; j < dim; ++j) {
      codes[i * dim + j] =
          static_cast<int8_t>(std::lrint(std::clamp(row[j] * inverse, -127.0f, 127.0f)));
    }
  }
  return CentroidsFromCodes(dim, codes.span(), scale);
}

}  // namespace

float SampledNormSqLimit(std::vector<float> norms_sq) {
  std::erase_if(norms_sq, [](float norm_sq) { return !(norm_sq > 0); });
  if (norms_sq.empty()) return kMaxSampledNormSq;
  const auto nth = norms_sq.begin() + static_cast<ptrdiff_t>(kProportionateShare *
                                                             static_cast<double>(norms_sq.size()));
  std::nth_element(norms_sq.begin(), nth, norms_sq.end());
  return std::min(kMaxSampledNormSq, kProportionSq * *nth);
}

uint32_t AutomaticLists(uint64_t rows) {
  return static_cast<uint32_t>(
      std::clamp<uint64_t>((rows + kRowsPerList / 2) / kRowsPerList, 1, UINT32_MAX / 64));
}

Result<Centroids> Train(std::span<const float> points, uint32_t dim, const TrainOptions& options) {
  if (dim == 0 || dim % 64 != 0 || points.empty() || points.size() % dim != 0) {
    return InvalidArgument("training needs points of a padded dimension");
  }
  if (options.lists == 0) return InvalidArgument("training needs at least one list");
  const PointsView view{points.data(), points.size() / dim, dim};
  const auto k = static_cast<uint32_t>(std::min<size_t>(options.lists, view.n));
  SplitMix64 random(options.seed);

  Trained trained;
  uint32_t passes = options.iterations;
  if (k <= kFlatLists) {
    trained.centroids = RandomStart(view, k, &random);
    trained.cells.assign(k, 0);
  } else {
    VDB_ASSIGN_OR_RETURN(trained, StartTwoLevel(view, k, options, &random));
    const double work = static_cast<double>(view.n) * k * dim;
    passes = std::clamp(static_cast<uint32_t>(std::min(kFullPassWork / work, 1e6)),
                        std::min(kMinFullPasses, passes), passes);
  }
  std::vector<uint32_t> counts(k, 1);
  VDB_RETURN_IF_ERROR(
      Lloyd(view, k, std::max(passes, 1u), options.poll, &trained.centroids, &counts));

  // Lists without points are left out.
  uint32_t kept = 0;
  for (uint32_t c = 0; c < k; ++c) {
    if (counts[c] == 0) continue;
    std::memmove(trained.centroids.data() + size_t{kept} * dim,
                 trained.centroids.data() + size_t{c} * dim, dim * sizeof(float));
    trained.cells[kept++] = trained.cells[c];
  }
  trained.cells.resize(kept);
  const PointsView centroids{trained.centroids.data(), kept, dim};
  VDB_ASSIGN_OR_RETURN(const std::vector<uint32_t> order,
                       ChainOrder(centroids, trained.cells, options.poll));
  return Quantise(centroids, order);
}

Centroids CentroidsFromCodes(uint32_t dim, std::span<const int8_t> codes,
                             std::span<const float> scale) {
  Centroids out;
  out.n = static_cast<uint32_t>(scale.size());
  out.dim = dim;
  out.codes.Reset(codes.size());
  out.values.Reset(codes.size());
  out.scale.assign(scale.begin(), scale.end());
  std::copy(codes.begin(), codes.end(), out.codes.data());
  for (uint32_t i = 0; i < out.n; ++i) {
    for (uint32_t j = 0; j < dim; ++j) {
      const size_t at = size_t{i} * dim + j;
      out.values[at] = scale[i] * static_cast<float>(codes[at]);
    }
  }
  return out;
}

Assigner::Assigner(const Centroids& centroids)
    : n_(centroids.n),
      dim_(centroids.dim),
      panels_(simd::PanelFloats(centroids.n, centroids.dim)),
      norms_(simd::PanelFloats(centroids.n, 1)) {
  simd::PackPanels(centroids.values.data(), n_, dim_, panels_.data(), norms_.data());
}

void Assigner::Assign(const float* points, size_t n, uint32_t* out) const {
  simd::AssignPanels(points, n, dim_, panels_.data(), norms_.data(), n_, out, nullptr);
}

}  // namespace vdb::index
