#include "format/chunk.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "quant/code_layout.h"
#include "unit/format_samples.h"

namespace vdb::format {
namespace {

const std::vector<uint32_t> kRows = {1, 0, 33, 64, 5};

std::string ParseError(std::span<const uint8_t> bytes) {
  Result<ChunkView> view = ParseChunk(bytes);
  if (view.ok()) return "";
  EXPECT_EQ(view.status().code(), Code::kCorruption);
  return view.status().message();
}

bool SameGeometry(const ChunkGeometry& a, const ChunkGeometry& b) {
  if (a.a_bytes != b.a_bytes || a.b_offset != b.b_offset || a.b_bytes != b.b_bytes ||
      a.c_offset != b.c_offset || a.c_bytes != b.c_bytes || a.plain_bytes != b.plain_bytes ||
      a.rows != b.rows || a.lists.size() != b.lists.size())
    return false;
  for (size_t i = 0; i < a.lists.size(); ++i) {
    if (std::memcmp(&a.lists[i], &b.lists[i], sizeof(ListPlace)) != 0) return false;
  }
  return true;
}

TEST(Chunk, ReadsBackWhatWasWritten) {
  for (const ChunkHeader& header : {SampleChunkHeader(), SmallChunkHeader()}) {
    const Bytes plain = SampleChunk(header, kRows);
    Result<ChunkView> view = ParseChunk(plain);
    ASSERT_TRUE(view.ok()) << view.status().message();
    EXPECT_EQ(view->header, header);
    const ChunkGeometry& geometry = view->geometry;
    EXPECT_EQ(geometry.rows, 103u);
    EXPECT_EQ(geometry.plain_bytes, plain.size());
    EXPECT_EQ(view->a.data() - plain.data(), kRegionAOffset);
    EXPECT_EQ(view->b.data() - plain.data(), geometry.b_offset);
    EXPECT_EQ(geometry.b_offset % 64, 0u);
    EXPECT_EQ(geometry.c_offset % 64, 0u);
    ASSERT_EQ(geometry.lists.size(), kRows.size());
    for (size_t i = 0; i < kRows.size(); ++i) {
      const ListPlace& place = geometry.lists[i];
      const uint32_t rows = kRows[i];
      EXPECT_EQ(place.rows, rows);
      EXPECT_EQ(place.a_offset % 64, 0u);
      const auto holds = [&](uint32_t offset, size_t n, uint64_t seed) {
        const Bytes expected = SampleBytes(n, seed);
        return std::equal(expected.begin(), expected.end(), plain.begin() + offset);
      };
      EXPECT_TRUE(holds(place.a_offset, (rows + 31) / 32 * header.block_bytes, 3 * i));
      EXPECT_TRUE(holds(place.b_offset, rows * header.ex_record_bytes, 3 * i + 1));
      if (header.vectors) {
        EXPECT_TRUE(holds(place.c_offset, rows * header.dim * 4, 3 * i + 2));
      }
    }
  }
}

TEST(Chunk, LayoutIsKnownFromTheRowsAlone) {
  for (const ChunkHeader& header : {SampleChunkHeader(), SmallChunkHeader()}) {
    const Bytes plain = SampleChunk(header, kRows);
    Result<ChunkGeometry> geometry = LayOutChunk(header, kRows);
    ASSERT_TRUE(geometry.ok());
    EXPECT_TRUE(SameGeometry(*geometry, ParseChunk(plain)->geometry));
  }
}

// A header of every length still ends where region A starts.
TEST(Chunk, SizesOfAllNumbersFit) {
  for (const uint32_t small : {0u, 24u, 256u, 65536u, 0xffffffffu}) {
    for (const uint32_t dim : {1u, 64u, 100u, 1600u, 16000u}) {
      for (uint32_t bits = 1; bits <= 8; ++bits) {
        for (const bool vectors : {false, true}) {
          const quant::CodeLayout layout{quant::PaddedDim(dim), bits};
          ChunkHeader header = SampleChunkHeader();
          header.segment = header.chunk = header.first_list = small;
          header.dim = dim;
          header.padded_dim = layout.dim;
          header.bits = bits;
          header.block_bytes = static_cast<uint32_t>(layout.block_bytes());
          header.ex_record_bytes = static_cast<uint32_t>(layout.ex_record_bytes());
          header.vectors = vectors;
          const Bytes plain = SampleChunk(header, {0, 3});
          Result<ChunkView> view = ParseChunk(plain);
          ASSERT_TRUE(view.ok()) << view.status().message();
          ASSERT_EQ(view->header, header);
        }
      }
    }
  }
}

TEST(Chunk, ManyListsAndRegionsOfEveryHeadLength) {
  const ChunkHeader header = SmallChunkHeader();
  for (const size_t lists : {1, 5, 6, 63, 64, 16383, 16384, 20000}) {
    std::vector<uint32_t> rows(lists, 0);
    rows.back() = 40;
    const Bytes plain = SampleChunk(header, rows);
    Result<ChunkView> view = ParseChunk(plain);
    ASSERT_TRUE(view.ok()) << lists << view.status().message();
    EXPECT_EQ(view->geometry.lists.size(), lists);
  }
  const Bytes empty = SampleChunk(header, {0});
  EXPECT_TRUE(ParseChunk(empty).ok());
}

TEST(Chunk, WriterStartsAfresh) {
  const ChunkHeader header = SampleChunkHeader();
  ChunkWriter writer;
  ASSERT_TRUE(writer.Begin(SmallChunkHeader()).ok());
  ASSERT_TRUE(AddSampleList(SmallChunkHeader(), 77, 5, &writer).ok());
  EXPECT_EQ(writer.rows(), 77u);
  ASSERT_TRUE(writer.Begin(header).ok());
  EXPECT_EQ(writer.lists(), 0u);
  EXPECT_EQ(writer.Finish().status().code(), Code::kInvalidArgument) << "no lists";
  ASSERT_TRUE(writer.Begin(header).ok());
  for (size_t i = 0; i < kRows.size(); ++i)
    ASSERT_TRUE(AddSampleList(header, kRows[i], i, &writer).ok());
  Result<std::span<const uint8_t>> plain = writer.Finish();
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(Bytes(plain->begin(), plain->end()), SampleChunk(header, kRows));
  EXPECT_TRUE(SameGeometry(writer.geometry(), ParseChunk(*plain)->geometry));
}

TEST(Chunk, WriterRefusesWhatDoesNotFit) {
  ChunkWriter writer;
  ChunkHeader header = SampleChunkHeader();
  for (auto spoil : std::vector<void (*)(ChunkHeader*)>{
           [](ChunkHeader* h) { h->dim = 0; }, [](ChunkHeader* h) { h->dim = 129; },
           [](ChunkHeader* h) { h->padded_dim = 192; }, [](ChunkHeader* h) { h->bits = 9; },
           [](ChunkHeader* h) { h->bits = 0; }, [](ChunkHeader* h) { h->block_bytes += 64; },
           [](ChunkHeader* h) { h->ex_record_bytes = 0; },
           [](ChunkHeader* h) { h->metric = static_cast<Metric>(5); },
           [](ChunkHeader* h) { h->element = static_cast<ElementType>(0); }}) {
    ChunkHeader bad = header;
    spoil(&bad);
    EXPECT_EQ(writer.Begin(bad).code(), Code::kInvalidArgument);
  }
  ASSERT_TRUE(writer.Begin(header).ok());
  const Bytes blocks(header.block_bytes), ex(2 * header.ex_record_bytes), vectors(2 * 400);
  EXPECT_TRUE(writer.AddList(2, blocks, ex, vectors).ok());
  EXPECT_FALSE(writer.AddList(3, blocks, ex, vectors).ok());
  EXPECT_FALSE(writer.AddList(2, {}, ex, vectors).ok());
  EXPECT_FALSE(writer.AddList(2, blocks, ex).ok());
  EXPECT_EQ(writer.lists(), 1u);
}

TEST(Chunk, FitsUpToTheLimit) {
  ChunkHeader header = SmallChunkHeader();
  ChunkWriter writer;
  ASSERT_TRUE(writer.Begin(header).ok());
  const uint32_t most = (kMaxChunkBytes - 1024) / header.block_bytes * 32;
  EXPECT_TRUE(writer.Fits(most));
  EXPECT_FALSE(writer.Fits(most + 3 * 32));
  EXPECT_FALSE(writer.Fits(most, 1 << 20));
  ASSERT_TRUE(AddSampleList(header, most, 0, &writer).ok());
  EXPECT_FALSE(writer.Fits(3 * 32));
  EXPECT_FALSE(AddSampleList(header, 3 * 32, 1, &writer).ok());
  Result<std::span<const uint8_t>> plain = writer.Finish();
  ASSERT_TRUE(plain.ok());
  EXPECT_LE(plain->size(), kMaxChunkBytes);
  EXPECT_TRUE(ParseChunk(*plain).ok());
  EXPECT_EQ(ListBytes(header, 33), 2 * header.block_bytes + 4);
  EXPECT_EQ(LayOutChunk(header, std::vector<uint32_t>{most, 96}).status().code(),
            Code::kInvalidArgument);
}

TEST(ChunkParser, EveryTruncationIsNoticed) {
  for (const ChunkHeader& header : {SampleChunkHeader(), SmallChunkHeader()}) {
    const Bytes plain = SampleChunk(header, {2, 1});
    for (size_t n = 0; n < plain.size(); ++n) {
      // A copy of exactly that size, so that a sanitizer sees a read beyond it.
      const Bytes cut(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(n));
      EXPECT_NE(ParseError(cut), "") << n;
    }
  }
}

TEST(ChunkParser, TrailingBytesAreNoticed) {
  Bytes plain = SampleChunk(SmallChunkHeader(), kRows);
  plain.push_back(0);
  EXPECT_NE(ParseError(plain), "");
}

// Outside the regions every bit counts: it is either an error or another field's value.
TEST(ChunkParser, EveryFlippedBitOutsideTheRegionsIsNoticed) {
  const ChunkHeader header = SampleChunkHeader();
  Bytes plain = SampleChunk(header, kRows);
  const ChunkGeometry geometry = LayOutChunk(header, kRows).value();
  const auto in_region = [&](size_t i) {
    return (i >= kRegionAOffset && i < kRegionAOffset + geometry.a_bytes) ||
           (i >= geometry.b_offset && i < geometry.b_offset + geometry.b_bytes) ||
           (i >= geometry.c_offset && i < geometry.c_offset + geometry.c_bytes);
  };
  size_t accepted = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (in_region(i)) continue;
    for (int bit = 0; bit < 8; ++bit) {
      plain[i] ^= static_cast<uint8_t>(1 << bit);
      Result<ChunkView> view = ParseChunk(plain);
      if (view.ok()) {
        ++accepted;
        EXPECT_TRUE(view->header != header || !SameGeometry(view->geometry, geometry)) << i;
        EXPECT_FALSE(CheckChunkHeader(view->header, header).ok() &&
                     SameGeometry(view->geometry, geometry))
            << i;
      } else {
        EXPECT_EQ(view.status().code(), Code::kCorruption);
      }
      plain[i] ^= static_cast<uint8_t>(1 << bit);
    }
  }
  // uuid, segment, chunk, metric, element, dim, first_list, and rows that fill no other block.
  EXPECT_LT(accepted, 300u);
}

TEST(ChunkParser, RowsAreHeldAgainstTheRegions) {
  const ChunkHeader header = SmallChunkHeader();
  Bytes plain = SampleChunk(header, {1, 1});
  const size_t rows_at = plain.size() - 8;
  plain[rows_at] = 32;  // still one block, and no ex records: another chunk, but a sound one
  EXPECT_EQ(ParseError(plain), "");
  plain[rows_at] = 33;
  EXPECT_NE(ParseError(plain), "");
  plain[rows_at] = 1;
  plain[rows_at + 3] = 0xff;
  EXPECT_NE(ParseError(plain), "");
}

TEST(ChunkParser, OverlongHeadsAreNotAccepted) {
  const Bytes plain = SampleChunk(SmallChunkHeader(), {1});
  // "version" 01 -> 18 01, taken from the padding.
  Bytes other = plain;
  const auto at = std::search(other.begin(), other.end(), std::begin("\x67version"),
                              std::end("\x67version") - 1);
  ASSERT_NE(at, other.end());
  other.insert(at + 8, 0x18);
  EXPECT_NE(ParseError(other).find("overlong"), std::string::npos);
}

TEST(CheckChunkHeader, NamesTheField) {
  const ChunkHeader header = SampleChunkHeader();
  EXPECT_TRUE(CheckChunkHeader(header, header).ok());
  const std::map<const char*, void (*)(ChunkHeader*)> changes = {
      {"index", [](ChunkHeader* h) { h->index[15] ^= 1; }},
      {"segment", [](ChunkHeader* h) { h->segment++; }},
      {"chunk", [](ChunkHeader* h) { h->chunk++; }},
      {"metric", [](ChunkHeader* h) { h->metric = Metric::kL1; }},
      {"element", [](ChunkHeader* h) { h->element = ElementType::kFloat16; }},
      {"dim", [](ChunkHeader* h) { h->dim++; }},
      {"padded_dim", [](ChunkHeader* h) { h->padded_dim += 64; }},
      {"bits", [](ChunkHeader* h) { h->bits--; }},
      {"first_list", [](ChunkHeader* h) { h->first_list++; }},
      {"region_c", [](ChunkHeader* h) { h->vectors = false; }},
  };
  for (const auto& [field, change] : changes) {
    ChunkHeader other = header;
    change(&other);
    const Status status = CheckChunkHeader(other, header);
    EXPECT_EQ(status.code(), Code::kCorruption) << field;
    EXPECT_NE(status.message().find(std::string("\"") + field + "\""), std::string::npos) << field;
  }
}

}  // namespace
}  // namespace vdb::format
