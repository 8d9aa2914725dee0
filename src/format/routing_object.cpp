#include "format/routing_object.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/strcat.h"
#include "format/cbor.h"

namespace vdb::format {
namespace {

constexpr std::string_view kFormatName = "vdb_ext routing";
constexpr uint32_t kMapEntries = 13 + kShapeEntries;
constexpr uint32_t kCalibrationEntries = 10;
constexpr float kMaxFloat = std::numeric_limits<float>::max();

Shape ShapeOf(const RoutingHeader& header) {
  return {header.metric, header.element, header.dim, header.padded_dim, header.bits};
}

bool InRange(float value, float min, float max) { return value >= min && value <= max; }

bool IsValidCalibration(const RoutingCalibration& calibration) {
  return InRange(calibration.theta, 0, kMaxFloat) &&
         InRange(calibration.near_ratio, 0, kMaxFloat) &&
         InRange(calibration.l1_ratio_low, 0, kMaxFloat) &&
         InRange(calibration.l1_ratio_high, 0, kMaxFloat) &&
         InRange(calibration.recall_target, 0, 1) && InRange(calibration.measured_recall, -1, 1) &&
         InRange(calibration.mean_lists, 0, kMaxFloat) &&
         InRange(calibration.p80_lists, 0, kMaxFloat) &&
         InRange(calibration.mean_rows, 0, kMaxFloat);
}

bool AllInRange(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return InRange(value, 0, kMaxFloat); });
}

void WriteCalibration(const RoutingCalibration& calibration, CborWriter* writer) {
  writer->Text("calibration");
  writer->Map(kCalibrationEntries);
  writer->FloatEntry("theta", calibration.theta);
  writer->FloatEntry("near_ratio", calibration.near_ratio);
  writer->FloatEntry("l1_ratio_low", calibration.l1_ratio_low);
  writer->FloatEntry("l1_ratio_high", calibration.l1_ratio_high);
  writer->FloatEntry("recall_target", calibration.recall_target);
  writer->FloatEntry("measured_recall", calibration.measured_recall);
  writer->FloatEntry("mean_lists", calibration.mean_lists);
  writer->FloatEntry("p80_lists", calibration.p80_lists);
  writer->FloatEntry("mean_rows", calibration.mean_rows);
  writer->Entry("queries", calibration.queries);
}

RoutingCalibration ReadCalibration(CborReader* reader) {
  RoutingCalibration calibration;
  reader->ExpectText("calibration");
  if (reader->Map() != kCalibrationEntries) reader->Fail("wrong number of entries");
  calibration.theta = reader->FloatEntry("theta");
  calibration.near_ratio = reader->FloatEntry("near_ratio");
  calibration.l1_ratio_low = reader->FloatEntry("l1_ratio_low");
  calibration.l1_ratio_high = reader->FloatEntry("l1_ratio_high");
  calibration.recall_target = reader->FloatEntry("recall_target");
  calibration.measured_recall = reader->FloatEntry("measured_recall");
  calibration.mean_lists = reader->FloatEntry("mean_lists");
  calibration.p80_lists = reader->FloatEntry("p80_lists");
  calibration.mean_rows = reader->FloatEntry("mean_rows");
  calibration.queries = reader->Uint32Entry("queries");
  if (!IsValidCalibration(calibration)) reader->Fail("calibration out of range");
  return calibration;
}

uint64_t Sum(std::span<const uint32_t> values) {
  return std::accumulate(values.begin(), values.end(), uint64_t{0});
}

// Every chunk has lists, and together they have all.
bool ChunksCoverLists(std::span<const uint32_t> chunk_lists, uint64_t lists) {
  return std::find(chunk_lists.begin(), chunk_lists.end(), 0u) == chunk_lists.end() &&
         Sum(chunk_lists) == lists;
}

Status CheckContents(const RoutingContents& contents) {
  const uint64_t lists = contents.rows.size();
  if (!IsValidShape(ShapeOf(contents.header)))
    return Internal("a routing object's header is out of range");
  if (!IsValidCalibration(contents.calibration))
    return Internal("a routing object's calibration is out of range");
  if (lists == 0 || contents.centroids.size() != lists * contents.header.padded_dim ||
      contents.scale.size() != lists || contents.radius.size() != lists ||
      !ChunksCoverLists(contents.chunk_lists, lists))
    return Internal("a routing object's arrays do not fit together");
  if (!AllInRange(contents.scale) || !AllInRange(contents.radius))
    return Internal("a routing object's scale or radius is out of range");
  const uint64_t bytes = kCentroidsOffset + contents.centroids.size() + 16 * lists + 128;
  if (bytes > kMaxRoutingBytes)
    return InvalidArgument(StrCat("a routing object is larger than ", kMaxRoutingBytes, " bytes"));
  return {};
}

}  // namespace

Result<std::vector<uint8_t>> WriteRoutingObject(const RoutingContents& contents) {
  VDB_RETURN_IF_ERROR(CheckContents(contents));
  const uint64_t lists = contents.rows.size();
  std::vector<uint8_t> document;
  document.reserve(kCentroidsOffset + contents.centroids.size() + 16 * lists + 128);
  CborWriter writer(&document);
  writer.Tag(kTagSelfDescribed);
  writer.Map(kMapEntries);
  writer.Entry("format", kFormatName);
  writer.Entry("version", kRoutingVersion);
  writer.UuidEntry("index", contents.header.index);
  writer.Entry("segment", contents.header.segment);
  WriteShape(ShapeOf(contents.header), &writer);
  writer.Entry("lists", lists);
  writer.Entry("chunks", contents.chunk_lists.size());
  WriteCalibration(contents.calibration, &writer);
  writer.PadEntry("pad", kCentroidsOffset, 10 + 2 + HeadBytes(contents.centroids.size()));
  writer.ArrayEntry("centroids", kTagSint8, contents.centroids);
  writer.ArrayEntry("scale", kTagFloat32Le, contents.scale);
  writer.ArrayEntry("radius", kTagFloat32Le, contents.radius);
  writer.ArrayEntry("rows", kTagUint32Le, contents.rows);
  writer.ArrayEntry("chunk_lists", kTagUint32Le, contents.chunk_lists);
  if (document.size() > kMaxRoutingBytes)
    return InvalidArgument(StrCat("a routing object is larger than ", kMaxRoutingBytes, " bytes"));
  return document;
}

Result<RoutingObject> ParseRoutingObject(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxRoutingBytes) return Corruption("a routing object is too large");
  RoutingObject object{};
  CborReader reader(bytes);
  reader.ExpectTag(kTagSelfDescribed);
  if (reader.Map() != kMapEntries) reader.Fail("wrong number of entries");
  reader.TextEntry("format", kFormatName);
  reader.UintEntry("version", kRoutingVersion, kRoutingVersion);
  object.header.index = reader.UuidEntry("index");
  object.header.segment = reader.Uint32Entry("segment");
  const Shape shape = ReadShape(&reader);
  object.header.metric = shape.metric;
  object.header.element = shape.element;
  object.header.dim = shape.dim;
  object.header.padded_dim = shape.padded_dim;
  object.header.bits = shape.bits;
  const uint64_t lists = reader.UintEntry("lists", 1, kMaxRoutingBytes);
  const uint64_t chunks = reader.UintEntry("chunks", 1, lists);
  object.calibration = ReadCalibration(&reader);
  reader.PadEntry("pad");
  const std::span<const uint8_t> centroids =
      reader.RegionEntry("centroids", kCentroidsOffset, kTagSint8);
  if (centroids.size() != lists * shape.padded_dim) reader.Fail("wrong size of \"centroids\"");
  object.centroids = {reinterpret_cast<const int8_t*>(centroids.data()), centroids.size()};
  object.scale = reader.ArrayEntry<float>("scale", kTagFloat32Le, lists);
  object.radius = reader.ArrayEntry<float>("radius", kTagFloat32Le, lists);
  object.rows = reader.ArrayEntry<uint32_t>("rows", kTagUint32Le, lists);
  object.chunk_lists = reader.ArrayEntry<uint32_t>("chunk_lists", kTagUint32Le, chunks);
  reader.ExpectEnd();
  if (!AllInRange(object.scale) || !AllInRange(object.radius))
    reader.Fail("scale or radius out of range");
  if (!ChunksCoverLists(object.chunk_lists, lists)) reader.Fail("chunks do not cover the lists");
  VDB_RETURN_IF_ERROR(reader.status());
  object.total_rows = Sum(object.rows);
  return object;
}

Status CheckRoutingHeader(const RoutingHeader& found, const RoutingHeader& expected) {
  constexpr const char* kObject = "the routing object";
  if (found.index != expected.index) return FieldMismatch(kObject, "index");
  if (found.segment != expected.segment) return FieldMismatch(kObject, "segment");
  return CheckShape(kObject, ShapeOf(found), ShapeOf(expected));
}

}  // namespace vdb::format
