#include "index/kmeans.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "simd/assign.h"
#include "simd/distance.h"

namespace vdb::index {
namespace {

// Multiply-adds between two looks at the interrupt poll: some milliseconds.
constexpr uint64_t kWorkPerPoll = 300'000'000;
constexpr size_t kMinBatch = 48;

// A pass in which less than one point in so many changes its centroid is the last.
constexpr size_t kSettledShare = 1000;

// Gives each centroid without points half of the largest list: a copy of its centroid, both moved a
// little apart.
void SplitLargest(uint32_t k, uint32_t dim, float* centroids, std::vector<uint32_t>* counts) {
  for (uint32_t c = 0; c < k; ++c) {
    if ((*counts)[c] != 0) continue;
    const auto largest = std::max_element(counts->begin(), counts->end());
    if (*largest < 2) return;
    float* from = centroids + static_cast<size_t>(largest - counts->begin()) * dim;
    float* to = centroids + size_t{c} * dim;
    for (uint32_t j = 0; j < dim; ++j) {
      const float shift = j % 2 == 0 ? .999f : 1.001f;
      to[j] = from[j] * shift;
      from[j] *= 2 - shift;
    }
    (*counts)[c] = *largest / 2;
    *largest -= *largest / 2;
  }
}

// Greedy chain over `members`, beginning with the one nearest to `from` (or the first).
Status ChainInto(const PointsView& centroids, std::vector<uint32_t> members, const float* from,
                 const InterruptPoll& poll, std::vector<uint32_t>* order) {
  uint64_t work = 0;
  while (!members.empty()) {
    size_t best = 0;
    if (from != nullptr) {
      float nearest = simd::L2Sq(from, centroids.row(members[0]), centroids.dim);
      for (size_t i = 1; i < members.size(); ++i) {
        const float distance = simd::L2Sq(from, centroids.row(members[i]), centroids.dim);
        if (distance < nearest) {
          nearest = distance;
          best = i;
        }
      }
    }
    from = centroids.row(members[best]);
    order->push_back(members[best]);
    work += members.size() * centroids.dim;
    members[best] = members.back();
    members.pop_back();
    if (work > kWorkPerPoll / 8) {
      VDB_RETURN_IF_ERROR(poll.Check());
      work = 0;
    }
  }
  return {};
}

}  // namespace

AlignedBuffer<float> RandomStart(const PointsView& points, uint32_t k, SplitMix64* random) {
  std::vector<size_t> ids(points.n);
  std::iota(ids.begin(), ids.end(), size_t{0});
  AlignedBuffer<float> centroids(size_t{k} * points.dim);
  for (uint32_t i = 0; i < k; ++i) {
    std::swap(ids[i], ids[i + random->Below(points.n - i)]);
    std::memcpy(centroids.data() + size_t{i} * points.dim, points.row(ids[i]),
                points.dim * sizeof(float));
  }
  return centroids;
}

Status AssignPoints(const PointsView& points, const AlignedBuffer<float>& centroids, uint32_t k,
                    const InterruptPoll& poll, uint32_t* labels) {
  const size_t floats = simd::PanelFloats(k, points.dim);
  AlignedBuffer<float> panels(floats);
  AlignedBuffer<float> norms(floats / points.dim);
  simd::PackPanels(centroids.data(), k, points.dim, panels.data(), norms.data());
  const size_t batch = std::max<size_t>(
      kMinBatch, kWorkPerPoll / (uint64_t{k} * points.dim) / kMinBatch * kMinBatch);
  for (size_t start = 0; start < points.n; start += batch) {
    VDB_RETURN_IF_ERROR(poll.Check());
    simd::AssignPanels(points.row(start), std::min(batch, points.n - start), points.dim,
                       panels.data(), norms.data(), k, labels + start, nullptr);
  }
  return {};
}

Status Lloyd(const PointsView& points, uint32_t k, uint32_t passes, const InterruptPoll& poll,
             AlignedBuffer<float>* centroids, std::vector<uint32_t>* counts) {
  const uint32_t dim = points.dim;
  std::vector<uint32_t> labels(points.n, 0), previous;
  for (uint32_t pass = 0; pass < passes; ++pass) {
    previous = labels;
    VDB_RETURN_IF_ERROR(AssignPoints(points, *centroids, k, poll, labels.data()));
    counts->assign(k, 0);
    size_t moved = 0;
    AlignedBuffer<float> sums(size_t{k} * dim);
    for (size_t i = 0; i < points.n; ++i) {
      ++(*counts)[labels[i]];
      moved += labels[i] != previous[i];
      float* sum = sums.data() + size_t{labels[i]} * dim;
      const float* point = points.row(i);
      for (uint32_t j = 0; j < dim; ++j) sum[j] += point[j];
    }
    bool empty = false;
    for (uint32_t c = 0; c < k; ++c) {
      const uint32_t count = (*counts)[c];
      empty |= count == 0;
      if (count == 0) continue;
      float* centroid = centroids->data() + size_t{c} * dim;
      const float* sum = sums.data() + size_t{c} * dim;
      const float inverse = 1 / static_cast<float>(count);
      for (uint32_t j = 0; j < dim; ++j) centroid[j] = sum[j] * inverse;
    }
    // In the last pass empty centroids are left for the caller to drop: nothing would fill them.
    if (pass + 1 == passes) break;
    if (empty) {
      SplitLargest(k, dim, centroids->data(), counts);
    } else if (pass > 0 && moved * kSettledShare < points.n) {
      break;
    }
  }
  return {};
}

Result<std::vector<uint32_t>> ChainOrder(const PointsView& centroids,
                                         std::span<const uint32_t> cells,
                                         const InterruptPoll& poll) {
  std::vector<uint32_t> order;
  order.reserve(centroids.n);
  const auto k = static_cast<uint32_t>(centroids.n);
  if (k <= kChainLimit) {
    std::vector<uint32_t> all(k);
    std::iota(all.begin(), all.end(), 0u);
    VDB_RETURN_IF_ERROR(ChainInto(centroids, std::move(all), nullptr, poll, &order));
    return order;
  }
  const uint32_t n_cells = *std::max_element(cells.begin(), cells.end()) + 1;
  std::vector<std::vector<uint32_t>> members(n_cells);
  for (uint32_t i = 0; i < k; ++i) members[cells[i]].push_back(i);
  AlignedBuffer<float> means(size_t{n_cells} * centroids.dim);
  std::vector<uint32_t> filled, cell_order;
  for (uint32_t cell = 0; cell < n_cells; ++cell) {
    if (members[cell].empty()) continue;
    filled.push_back(cell);
    float* mean = means.data() + size_t{cell} * centroids.dim;
    const float weight = 1 / static_cast<float>(members[cell].size());
    for (uint32_t member : members[cell]) {
      for (uint32_t j = 0; j < centroids.dim; ++j) mean[j] += weight * centroids.row(member)[j];
    }
  }
  const PointsView cell_means{means.data(), n_cells, centroids.dim};
  VDB_RETURN_IF_ERROR(ChainInto(cell_means, std::move(filled), nullptr, poll, &cell_order));
  for (uint32_t cell : cell_order) {
    const float* from = order.empty() ? nullptr : centroids.row(order.back());
    VDB_RETURN_IF_ERROR(ChainInto(centroids, std::move(members[cell]), from, poll, &order));
  }
  return order;
}

}  // namespace vdb::index
