/// What every object of an index says about the index: checked in one place for chunks and routing
/// objects, when they are written and when they are read.
#pragma once

#include <array>
#include <cstdint>

#include "base/metric.h"
#include "base/status.h"
#include "format/cbor.h"

namespace vdb::format {

inline constexpr uint32_t kMaxObjectDim = 16000;

struct Shape {
  Metric metric;
  ElementType element;
  uint32_t dim;         // of the column
  uint32_t padded_dim;  // of the codes
  uint32_t bits;

  bool operator==(const Shape&) const = default;
};

/// Whether all fields are in range and padded_dim is dim rounded up to a multiple of 64.
bool IsValidShape(const Shape& shape);

/// Bytes of one block of 32 codes and of one ex record. The same as quant::CodeLayout's (a test
/// holds them together); written down here because a chunk's sizes are checked with them.
uint32_t BlockBytes(const Shape& shape);
uint32_t ExRecordBytes(const Shape& shape);
/// Bytes of one vector in region C.
uint32_t VectorBytes(uint32_t dim, ElementType element);

/// The map entries metric, element, dim, padded_dim, bits.
inline constexpr uint32_t kShapeEntries = 5;
void WriteShape(const Shape& shape, CborWriter* writer);
/// Fails the reader when the shape is not valid.
Shape ReadShape(CborReader* reader);

/// kCorruption that says which field is not as expected.
Status FieldMismatch(const char* object, const char* field);
/// Errors: kCorruption naming the first field in which they differ.
Status CheckShape(const char* object, const Shape& found, const Shape& expected);

}  // namespace vdb::format
