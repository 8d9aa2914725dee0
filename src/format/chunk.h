/// Chunk object, format version 1: the codes of some whole lists of one segment, as one CBOR
/// document. docs/format.md has every byte.
///
/// The document is a map whose entries come in a fixed order: header fields, region A (blocks of 32
/// codes), region B (ex records), region C (full vectors, optional), directory (rows per list).
/// Each region is one byte string and starts at a multiple of 64. Region A always starts at
/// kRegionAOffset, B 64 bytes behind A, so where a list's bytes lie follows from the rows of the
/// lists alone (ChunkGeometry).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "format/shape.h"

namespace vdb::format {

inline constexpr uint32_t kChunkVersion = 1;
/// Largest plaintext of a chunk.
inline constexpr uint32_t kMaxChunkBytes = 32u << 20;
inline constexpr uint32_t kRegionAOffset = 512;
inline constexpr uint32_t kRegionBGap = 64;
inline constexpr uint32_t kBlockRows = 32;

/// Which chunk of which index this is, and the shape of what it holds.
struct ChunkHeader {
  Uuid index;
  uint32_t segment;
  uint32_t chunk;  // number in the segment, from 0
  Metric metric;
  ElementType element;
  uint32_t dim;              // of the column, 1 .. 16000
  uint32_t padded_dim;       // of the codes: dim rounded up to a multiple of 64
  uint32_t bits;             // 1 .. 8
  uint32_t block_bytes;      // quant::CodeLayout::block_bytes: a multiple of 64
  uint32_t ex_record_bytes;  // quant::CodeLayout::ex_record_bytes: 0 when bits == 1
  uint32_t first_list;       // the chunk holds lists first_list, first_list + 1, ...
  bool vectors;              // has region C

  bool operator==(const ChunkHeader&) const = default;
};

/// Where a list lies, in plaintext bytes from the start of the object.
struct ListPlace {
  uint32_t rows;
  uint32_t a_offset;  // (rows + 31) / 32 blocks; a multiple of 64
  uint32_t b_offset;  // rows ex records
  uint32_t c_offset;  // rows vectors; 0 without region C
};

/// Where everything is in a chunk.
struct ChunkGeometry {
  uint32_t a_bytes, b_offset, b_bytes, c_offset, c_bytes;
  uint32_t plain_bytes;  // of the whole document
  uint64_t rows;
  std::vector<ListPlace> lists;
};

/// The geometry of a chunk whose lists have these rows.
/// Errors: kInvalidArgument: more than kMaxChunkBytes, no list, or a header out of range.
Result<ChunkGeometry> LayOutChunk(const ChunkHeader& header, std::span<const uint32_t> list_rows);

/// Bytes that one more list of `rows` rows adds to a chunk, for deciding when a chunk is full.
uint64_t ListBytes(const ChunkHeader& header, uint32_t rows);

/// Writes one chunk after the other; buffers are kept.
class ChunkWriter {
 public:
  /// Starts a chunk with no lists.
  /// Errors: kInvalidArgument: a header field is out of range or does not fit the others.
  Status Begin(const ChunkHeader& header);

  /// Whether a list of `rows` rows still fits under `max_plain_bytes` (<= kMaxChunkBytes).
  bool Fits(uint32_t rows, uint64_t max_plain_bytes = kMaxChunkBytes) const;

  /// Appends the next list. blocks: (rows + 31) / 32 * block_bytes; ex_records: rows *
  /// ex_record_bytes; vectors: rows * dim * element size, empty without region C. All are copied.
  /// Errors: kInvalidArgument: sizes do not match or it does not fit.
  Status AddList(uint32_t rows, std::span<const uint8_t> blocks,
                 std::span<const uint8_t> ex_records, std::span<const uint8_t> vectors = {});

  uint32_t lists() const { return static_cast<uint32_t>(rows_.size()); }
  uint64_t rows() const { return total_rows_; }

  /// Ends the chunk. The plaintext stays valid until the next Begin.
  /// Errors: kInvalidArgument: no lists.
  Result<std::span<const uint8_t>> Finish();
  /// Where the lists lie. Valid between Finish and the next Begin.
  const ChunkGeometry& geometry() const { return geometry_; }

 private:
  ChunkHeader header_{};
  std::vector<uint8_t> document_;  // kRegionAOffset bytes of header, region A, then the rest
  std::vector<uint8_t> b_, c_;
  std::vector<uint32_t> rows_;
  uint64_t total_rows_ = 0;
  ChunkGeometry geometry_{};
};

/// A chunk as it was read. Spans point into the bytes that were parsed.
struct ChunkView {
  ChunkHeader header;
  ChunkGeometry geometry;
  std::span<const uint8_t> a, b, c;
};

/// Parses and checks a whole plaintext: every byte of it is accounted for.
/// Errors: kCorruption: it is not exactly what ChunkWriter writes.
Result<ChunkView> ParseChunk(std::span<const uint8_t> bytes);

/// Errors: kCorruption naming the first field in which a chunk's header is not the expected one.
Status CheckChunkHeader(const ChunkHeader& found, const ChunkHeader& expected);

}  // namespace vdb::format
