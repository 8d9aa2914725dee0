#include "format/shape.h"

#include "base/strcat.h"

namespace vdb::format {

bool IsValidShape(const Shape& shape) {
  return shape.metric >= Metric::kL2 && shape.metric <= Metric::kL1 &&
         shape.element >= ElementType::kFloat32 && shape.element <= ElementType::kFloat16 &&
         shape.dim >= 1 && shape.dim <= kMaxObjectDim &&
         shape.padded_dim == (shape.dim + 63) / 64 * 64 && shape.bits >= 1 && shape.bits <= 8;
}

uint32_t BlockBytes(const Shape& shape) { return shape.padded_dim * 4 + 32 * 8; }

uint32_t ExRecordBytes(const Shape& shape) {
  if (shape.bits == 1) return 0;
  return (shape.bits <= 5 ? 8 : 12) + shape.padded_dim / 8 * (shape.bits - 1);
}

uint32_t VectorBytes(uint32_t dim, ElementType element) {
  return dim * (element == ElementType::kFloat32 ? 4 : 2);
}

void WriteShape(const Shape& shape, CborWriter* writer) {
  writer->Entry("metric", static_cast<uint64_t>(shape.metric));
  writer->Entry("element", static_cast<uint64_t>(shape.element));
  writer->Entry("dim", shape.dim);
  writer->Entry("padded_dim", shape.padded_dim);
  writer->Entry("bits", shape.bits);
}

Shape ReadShape(CborReader* reader) {
  Shape shape;
  shape.metric = static_cast<Metric>(reader->UintEntry("metric", 1, 4));
  shape.element = static_cast<ElementType>(reader->UintEntry("element", 1, 2));
  shape.dim = static_cast<uint32_t>(reader->UintEntry("dim", 1, kMaxObjectDim));
  shape.padded_dim = static_cast<uint32_t>(reader->UintEntry("padded_dim", 64, kMaxObjectDim));
  shape.bits = static_cast<uint32_t>(reader->UintEntry("bits", 1, 8));
  if (!IsValidShape(shape)) reader->Fail("inconsistent dimensions");
  return shape;
}

Status FieldMismatch(const char* object, const char* field) {
  return Corruption(
      StrCat(object, " belongs elsewhere: its \"", field, "\" is not the expected one"));
}

Status CheckShape(const char* object, const Shape& found, const Shape& expected) {
  if (found.metric != expected.metric) return FieldMismatch(object, "metric");
  if (found.element != expected.element) return FieldMismatch(object, "element");
  if (found.dim != expected.dim) return FieldMismatch(object, "dim");
  if (found.padded_dim != expected.padded_dim) return FieldMismatch(object, "padded_dim");
  if (found.bits != expected.bits) return FieldMismatch(object, "bits");
  return {};
}

}  // namespace vdb::format
