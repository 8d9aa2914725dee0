#include "format/chunk.h"

#include <algorithm>

#include "base/strcat.h"
#include "format/cbor.h"

namespace vdb::format {
namespace {

constexpr std::string_view kFormatName = "vdb_ext chunk";
constexpr uint32_t kMapEntries = 12 + kShapeEntries + 2;  // region C and its padding: two more
constexpr uint32_t kRegionAlign = 64;
// Key, tag and head of the directory, and of what comes before it, at their longest.
constexpr uint64_t kDirectoryHead = 5 + 2 + 5;

Shape ShapeOf(const ChunkHeader& header) {
  return {header.metric, header.element, header.dim, header.padded_dim, header.bits};
}

bool IsValidHeader(const ChunkHeader& header) {
  const Shape shape = ShapeOf(header);
  return IsValidShape(shape) && header.block_bytes == BlockBytes(shape) &&
         header.ex_record_bytes == ExRecordBytes(shape);
}

uint64_t Blocks(uint64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

uint64_t ChunkVectorBytes(const ChunkHeader& header) {
  return header.vectors ? VectorBytes(header.dim, header.element) : 0;
}

uint64_t VectorTag(ElementType element) {
  return element == ElementType::kFloat32 ? kTagFloat32Le : kTagFloat16Le;
}

// Sizes of the regions of a chunk, and of the whole.
struct Sizes {
  uint64_t a = 0, b = 0, c = 0, lists = 0;

  void Add(const ChunkHeader& header, uint64_t rows) {
    a += Blocks(rows) * header.block_bytes;
    b += rows * header.ex_record_bytes;
    c += rows * ChunkVectorBytes(header);
    ++lists;
  }
  uint64_t b_offset() const { return kRegionAOffset + a + kRegionBGap; }
  uint64_t c_offset() const {
    return (b_offset() + b + kRegionAlign - 1) / kRegionAlign * kRegionAlign + kRegionAlign;
  }
  uint64_t directory_offset(bool vectors) const {
    return vectors ? c_offset() + c : b_offset() + b;
  }
  // Of the document, or up to 4 bytes more.
  uint64_t plain_bound(bool vectors) const {
    return directory_offset(vectors) + kDirectoryHead + 4 * lists;
  }
};

void WriteHeader(const ChunkHeader& header, const ChunkGeometry& geometry, CborWriter* writer) {
  writer->Tag(kTagSelfDescribed);
  writer->Map(kMapEntries + (header.vectors ? 2 : 0));
  writer->Entry("format", kFormatName);
  writer->Entry("version", kChunkVersion);
  writer->UuidEntry("index", header.index);
  writer->Entry("segment", header.segment);
  writer->Entry("chunk", header.chunk);
  WriteShape(ShapeOf(header), writer);
  writer->Entry("block_bytes", header.block_bytes);
  writer->Entry("ex_record_bytes", header.ex_record_bytes);
  writer->Entry("first_list", header.first_list);
  writer->Entry("lists", geometry.lists.size());
  writer->PadEntry("pad_a", kRegionAOffset, 9 + HeadBytes(geometry.a_bytes));
  writer->Text("region_a");
  writer->BytesHead(geometry.a_bytes);
}

}  // namespace

Result<ChunkGeometry> LayOutChunk(const ChunkHeader& header, std::span<const uint32_t> list_rows) {
  if (!IsValidHeader(header)) return InvalidArgument("a chunk's header is out of range");
  if (list_rows.empty()) return InvalidArgument("a chunk has no lists");
  ChunkGeometry geometry{};
  Sizes sizes;
  for (const uint32_t rows : list_rows) {
    geometry.rows += rows;
    sizes.Add(header, rows);
    if (sizes.plain_bound(header.vectors) > kMaxChunkBytes)
      return InvalidArgument(StrCat("a chunk is larger than ", kMaxChunkBytes, " bytes"));
  }
  geometry.a_bytes = static_cast<uint32_t>(sizes.a);
  geometry.b_offset = static_cast<uint32_t>(sizes.b_offset());
  geometry.b_bytes = static_cast<uint32_t>(sizes.b);
  geometry.c_offset = header.vectors ? static_cast<uint32_t>(sizes.c_offset()) : 0;
  geometry.c_bytes = static_cast<uint32_t>(sizes.c);
  geometry.plain_bytes =
      static_cast<uint32_t>(sizes.directory_offset(header.vectors) + 5 + 2 +
                            HeadBytes(4 * list_rows.size()) + 4 * list_rows.size());

  uint32_t a = kRegionAOffset, b = geometry.b_offset, c = geometry.c_offset;
  geometry.lists.reserve(list_rows.size());
  for (const uint32_t rows : list_rows) {
    geometry.lists.push_back({rows, a, b, c});
    a += static_cast<uint32_t>(Blocks(rows) * header.block_bytes);
    b += rows * header.ex_record_bytes;
    c += static_cast<uint32_t>(rows * ChunkVectorBytes(header));
  }
  return geometry;
}

uint64_t ListBytes(const ChunkHeader& header, uint32_t rows) {
  Sizes sizes;
  sizes.Add(header, rows);
  return sizes.a + sizes.b + sizes.c + 4;
}

Status ChunkWriter::Begin(const ChunkHeader& header) {
  if (!IsValidHeader(header)) return InvalidArgument("a chunk's header is out of range");
  header_ = header;
  document_.assign(kRegionAOffset, 0);
  b_.clear();
  c_.clear();
  rows_.clear();
  total_rows_ = 0;
  geometry_ = {};
  return {};
}

bool ChunkWriter::Fits(uint32_t rows, uint64_t max_plain_bytes) const {
  Sizes sizes{document_.size() - kRegionAOffset, b_.size(), c_.size(), rows_.size()};
  sizes.Add(header_, rows);
  return sizes.plain_bound(header_.vectors) <= std::min<uint64_t>(max_plain_bytes, kMaxChunkBytes);
}

Status ChunkWriter::AddList(uint32_t rows, std::span<const uint8_t> blocks,
                            std::span<const uint8_t> ex_records, std::span<const uint8_t> vectors) {
  if (blocks.size() != Blocks(rows) * header_.block_bytes ||
      ex_records.size() != uint64_t{rows} * header_.ex_record_bytes ||
      vectors.size() != rows * ChunkVectorBytes(header_))
    return InvalidArgument("a list's bytes do not match its rows");
  if (!Fits(rows)) return InvalidArgument("a list does not fit into the chunk");
  document_.insert(document_.end(), blocks.begin(), blocks.end());
  b_.insert(b_.end(), ex_records.begin(), ex_records.end());
  c_.insert(c_.end(), vectors.begin(), vectors.end());
  rows_.push_back(rows);
  total_rows_ += rows;
  return {};
}

Result<std::span<const uint8_t>> ChunkWriter::Finish() {
  VDB_ASSIGN_OR_RETURN(geometry_, LayOutChunk(header_, rows_));
  std::vector<uint8_t> head;
  CborWriter head_writer(&head);
  WriteHeader(header_, geometry_, &head_writer);
  if (head.size() != kRegionAOffset) return Internal("a chunk's header has the wrong size");
  std::copy(head.begin(), head.end(), document_.begin());

  document_.reserve(geometry_.plain_bytes + 16);
  CborWriter writer(&document_);
  writer.PadEntry("pad_b", geometry_.b_offset, 9 + HeadBytes(geometry_.b_bytes));
  writer.Text("region_b");
  writer.Bytes(b_);
  if (header_.vectors) {
    writer.PadEntry("pad_c", geometry_.c_offset, 9 + 2 + HeadBytes(geometry_.c_bytes));
    writer.ArrayEntry<uint8_t>("region_c", VectorTag(header_.element), c_);
  }
  writer.ArrayEntry<uint32_t>("rows", kTagUint32Le, rows_);
  if (document_.size() != geometry_.plain_bytes) return Internal("a chunk has the wrong size");
  return std::span<const uint8_t>(document_);
}

Result<ChunkView> ParseChunk(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxChunkBytes) return Corruption("a chunk is too large");
  ChunkView view{};
  ChunkHeader& header = view.header;
  CborReader reader(bytes);
  reader.ExpectTag(kTagSelfDescribed);
  const uint64_t entries = reader.Map();
  header.vectors = entries == kMapEntries + 2;
  if (entries != kMapEntries && !header.vectors) reader.Fail("wrong number of entries");
  reader.TextEntry("format", kFormatName);
  reader.UintEntry("version", kChunkVersion, kChunkVersion);
  header.index = reader.UuidEntry("index");
  header.segment = reader.Uint32Entry("segment");
  header.chunk = reader.Uint32Entry("chunk");
  const Shape shape = ReadShape(&reader);
  header.metric = shape.metric;
  header.element = shape.element;
  header.dim = shape.dim;
  header.padded_dim = shape.padded_dim;
  header.bits = shape.bits;
  header.block_bytes = reader.Uint32Entry("block_bytes");
  header.ex_record_bytes = reader.Uint32Entry("ex_record_bytes");
  header.first_list = reader.Uint32Entry("first_list");
  const uint64_t lists = reader.UintEntry("lists", 1, kMaxChunkBytes / 4);
  reader.PadEntry("pad_a");
  view.a = reader.RegionEntry("region_a", kRegionAOffset);
  reader.PadEntry("pad_b");
  view.b = reader.RegionEntry("region_b", kRegionAOffset + view.a.size() + kRegionBGap);
  if (header.vectors) {
    const uint64_t c_offset = Sizes{.a = view.a.size(), .b = view.b.size()}.c_offset();
    reader.PadEntry("pad_c");
    view.c = reader.RegionEntry("region_c", c_offset, VectorTag(header.element));
  }
  const std::vector<uint32_t> rows = reader.ArrayEntry<uint32_t>("rows", kTagUint32Le, lists);
  reader.ExpectEnd();
  VDB_RETURN_IF_ERROR(reader.status());

  Result<ChunkGeometry> geometry = LayOutChunk(header, rows);
  if (!geometry.ok()) return Corruption(StrCat("malformed object: ", geometry.status().message()));
  view.geometry = std::move(geometry).value();
  if (view.a.size() != view.geometry.a_bytes || view.b.size() != view.geometry.b_bytes ||
      view.c.size() != view.geometry.c_bytes || bytes.size() != view.geometry.plain_bytes)
    return Corruption("malformed object: the regions do not match the rows of the lists");
  return view;
}

Status CheckChunkHeader(const ChunkHeader& found, const ChunkHeader& expected) {
  constexpr const char* kObject = "the chunk";
  if (found.index != expected.index) return FieldMismatch(kObject, "index");
  if (found.segment != expected.segment) return FieldMismatch(kObject, "segment");
  if (found.chunk != expected.chunk) return FieldMismatch(kObject, "chunk");
  VDB_RETURN_IF_ERROR(CheckShape(kObject, ShapeOf(found), ShapeOf(expected)));
  if (found.first_list != expected.first_list) return FieldMismatch(kObject, "first_list");
  if (found.vectors != expected.vectors) return FieldMismatch(kObject, "region_c");
  return {};
}

}  // namespace vdb::format
