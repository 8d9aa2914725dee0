/// Nearest-centroid assignment: the matrix product inside k-means and the assignment of every row.
///
/// Centroids lie in panels of 64: panels[(p * dim + j) * 64 + c] is dimension j of centroid
/// p * 64 + c; what is beyond n_centroids in the last panel is ignored, but must be there.
///
/// Shapes:  points (n, dim) row-major; panels (ceil(n_centroids / 64), dim, 64), 64-byte aligned;
///          norms (ceil(n_centroids / 64) * 64,), 64-byte aligned: |centroid|^2; best, best_score
///          (n,).
/// Units:   score = norm - 2 <point, centroid>: squared L2 less |point|^2.
/// Pre:     n_centroids > 0; dim > 0, of any size.
/// Errors:  none (noexcept); allocates nothing. A point with a NaN gets centroid 0, score infinity.
/// Cost:    n * n_centroids * dim multiply-adds; best in batches of at least 48 points. The result
///          does not depend on how points are cut into batches, and ties go to the lowest index.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vdb::simd {

inline constexpr size_t kPanelWidth = 64;

/// Floats that the panels of n centroids need.
inline constexpr size_t PanelFloats(size_t n, size_t dim) {
  return (n + kPanelWidth - 1) / kPanelWidth * kPanelWidth * dim;
}

/// Lays `rows` (n, dim) out in panels, the last one filled up with zeros, and computes norms.
void PackPanels(const float* rows, size_t n, size_t dim, float* panels, float* norms) noexcept;

/// For each point the centroid with the smallest score. best_score may be null.
void AssignPanels(const float* points, size_t n, size_t dim, const float* panels,
                  const float* norms, size_t n_centroids, uint32_t* best,
                  float* best_score) noexcept;

}  // namespace vdb::simd
