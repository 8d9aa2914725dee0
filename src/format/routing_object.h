/// Routing object, format version 2: centroids, radii, rows per list, which chunk has which lists,
/// and the calibrated probing rule of one segment, as one CBOR document. docs/format.md has every
/// byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "format/shape.h"

namespace vdb::format {

inline constexpr uint32_t kRoutingVersion = 2;
/// Largest plaintext of a routing object.
inline constexpr uint32_t kMaxRoutingBytes = 256u << 20;
/// The centroids start here in the plaintext.
inline constexpr uint32_t kCentroidsOffset = 512;

/// The probing rule; the fields of index::Calibration, which says what they mean.
struct RoutingCalibration {
  float theta, near_ratio, l1_ratio_low, l1_ratio_high, recall_target, measured_recall;
  float mean_lists, p80_lists, mean_rows;
  uint32_t queries;

  bool operator==(const RoutingCalibration&) const = default;
};

struct RoutingHeader {
  Uuid index;
  uint32_t segment;
  Metric metric;
  ElementType element;
  uint32_t dim;
  uint32_t padded_dim;
  uint32_t bits;

  bool operator==(const RoutingHeader&) const = default;
};

/// What a routing object says. Arrays are (lists,) but centroids (lists, padded_dim), row-major,
/// and chunk_lists (chunks,): how many lists each chunk has, in order; they sum to lists.
struct RoutingContents {
  RoutingHeader header;
  RoutingCalibration calibration;
  std::span<const int8_t> centroids;
  std::span<const float> scale;
  std::span<const float> radius;
  std::span<const uint32_t> rows;
  std::span<const uint32_t> chunk_lists;
};

/// Errors: kInternal: a field out of range, spans that do not fit together; kInvalidArgument: too
/// large.
Result<std::vector<uint8_t>> WriteRoutingObject(const RoutingContents& contents);

/// A routing object as it was read: owns its small arrays; the centroids stay where they are in the
/// bytes that were parsed.
struct RoutingObject {
  RoutingHeader header;
  RoutingCalibration calibration;
  std::span<const int8_t> centroids;
  std::vector<float> scale, radius;
  std::vector<uint32_t> rows, chunk_lists;
  uint64_t total_rows;
};

/// Parses and checks a whole plaintext.
/// Errors: kCorruption: it is not exactly what WriteRoutingObject writes.
Result<RoutingObject> ParseRoutingObject(std::span<const uint8_t> bytes);

/// Errors: kCorruption naming the first field in which the header is not the expected one.
Status CheckRoutingHeader(const RoutingHeader& found, const RoutingHeader& expected);

}  // namespace vdb::format
