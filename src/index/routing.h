/// Routing: everything a search must know about the lists of one segment before it reads a code:
/// centroids as int8, radii, where each list's bytes are, and the calibrated probing rule.
///
/// The image is one relocatable piece of memory (a header and arrays at offsets), so that it can be
/// built once in shared memory and used from any process. Centroids exist only as int8 with a scale
/// each: the residuals were encoded about exactly these, so nothing is lost by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace vdb::index {

/// Where a list is. Offsets are in plaintext bytes from the start of its object.
struct ListEntry {
  uint32_t object;      // index into the segment's objects
  uint32_t rows;        // may be 0
  uint32_t a_offset;    // first block: 64-byte aligned
  uint32_t b_offset;    // first ex record
  uint32_t first_slot;  // of the segment; a multiple of 32; row i has slot first_slot + i
};

/// The probing rule and what was measured for it. What is not measured is above what real sets
/// need.
struct Calibration {
  // List i is scanned before a row at distance rho goes out unless key_i >= rho^2: key = d^2 + R^2
  // - 2 theta R max(d, near_ratio R), but d^2 - (theta R)^2 where that is negative. By inner
  // product key = score - theta R |q|.
  float theta = 0.6f;
  float near_ratio = 1.3f;
  float l1_ratio_low = 1;      // L1 only: a low quantile of L1 / L2 among near neighbours
  float l1_ratio_high = 1;     // L1 only: a high quantile
  float recall_target = 0;     // what was asked for
  float measured_recall = -1;  // on the calibration queries; < 0: not measured
  // Lists probed at theta, mean and 80th percentile over the calibration queries.
  float mean_lists = 0;
  float p80_lists = 0;
  float mean_rows = 0;   // codes scanned at theta, mean
  uint32_t queries = 0;  // calibration queries used; 0: the rule is not measured
  // With it for theta and kReachNearRatio for near_ratio the least key of all lists foretells how
  // far a search will look. 0: not measured.
  float reach = 0;
};

/// Lists of one query's own neighbourhood are as near to it as their radii are long.
inline constexpr float kReachNearRatio = 1;

/// Views of the arrays in an image.
struct Routing {
  uint32_t n_lists;
  uint32_t dim;  // padded
  uint64_t n_rows;
  const int8_t* rows;         // (n_lists, dim)
  const int8_t* interleaved;  // for simd::RankCentroids
  const int32_t* sums;        // (round_up(n_lists, 16),)
  const float* scale;         // (n_lists,) centroid = scale * int8
  const float* norm_sq;       // (n_lists,) |centroid|^2
  const float* radius;        // (n_lists,) rms distance of the list's rows from the centroid
  const ListEntry* lists;     // (n_lists,)
  Calibration calibration;
};

/// What an image is made from (all (n_lists,) but centroids).
struct RoutingSource {
  uint32_t dim;                       // padded
  std::span<const int8_t> centroids;  // (n_lists, dim)
  std::span<const float> scale;
  std::span<const float> radius;
  std::span<const ListEntry> lists;
  Calibration calibration;
};

/// Bytes of an image, a multiple of 64.
size_t RoutingImageBytes(uint32_t n_lists, uint32_t dim);
/// Writes the image to `image` (64-byte aligned, RoutingImageBytes long).
/// Errors: kInvalidArgument when the spans' sizes do not fit together.
Status WriteRoutingImage(const RoutingSource& source, std::span<uint8_t> image);
/// Pre: `image` was written by WriteRoutingImage in this server's life: it is not checked again.
Routing ViewRoutingImage(const uint8_t* image);

}  // namespace vdb::index
