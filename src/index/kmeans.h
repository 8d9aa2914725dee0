/// Lloyd's k-means and the greedy order of its centroids: the pieces of Train.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/interrupt.h"
#include "base/random.h"

namespace vdb::index {

/// Row-major points; dim is a multiple of 64.
struct PointsView {
  const float* data;
  size_t n;
  uint32_t dim;

  const float* row(size_t i) const { return data + i * dim; }
};

/// Copies k of the points, chosen at random without repetition. Pre: k <= points.n.
AlignedBuffer<float> RandomStart(const PointsView& points, uint32_t k, SplitMix64* random);

/// The nearest centroid of each point. labels (points.n,).
Status AssignPoints(const PointsView& points, const AlignedBuffer<float>& centroids, uint32_t k,
                    const InterruptPoll& poll, uint32_t* labels);

/// Moves the k centroids to the means of their points, up to `passes` times; fewer when hardly a
/// point changes its centroid any more. A centroid that has lost its points takes half of the
/// largest list. counts (k,): points of each centroid in the last pass; 0 only when there are fewer
/// distinct points than centroids.
Status Lloyd(const PointsView& points, uint32_t k, uint32_t passes, const InterruptPoll& poll,
             AlignedBuffer<float>* centroids, std::vector<uint32_t>* counts);

/// An order in which each centroid is followed by its nearest neighbour among those not yet
/// visited. cells (k,): with more than kChainLimit centroids, whole cells are chained, then the
/// centroids in each, because the cost is quadratic.
inline constexpr uint32_t kChainLimit = 8192;
Result<std::vector<uint32_t>> ChainOrder(const PointsView& centroids,
                                         std::span<const uint32_t> cells,
                                         const InterruptPoll& poll);

}  // namespace vdb::index
