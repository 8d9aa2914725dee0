#include "format/routing_object.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "unit/format_samples.h"

namespace vdb::format {
namespace {

Bytes Write(const RoutingContents& contents) {
  Result<std::vector<uint8_t>> plain = WriteRoutingObject(contents);
  EXPECT_TRUE(plain.ok()) << plain.status().message();
  return plain.ok() ? std::move(plain).value() : Bytes();
}

// As bits: a zero that became -0 is another value.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool Same(const RoutingObject& object, const SampleRouting& sample) {
  return object.header == sample.header && object.calibration == sample.calibration &&
         std::equal(object.centroids.begin(), object.centroids.end(), sample.centroids.begin(),
                    sample.centroids.end()) &&
         SameBits(object.scale, sample.scale) && SameBits(object.radius, sample.radius) &&
         object.rows == sample.rows && object.chunk_lists == sample.chunk_lists;
}

TEST(RoutingObject, ReadsBackWhatWasWritten) {
  for (const uint32_t lists : {1u, 2u, 5u, 6u, 64u, 5000u}) {
    const SampleRouting sample(lists);
    const Bytes plain = Write(sample.contents());
    Result<RoutingObject> object = ParseRoutingObject(plain);
    ASSERT_TRUE(object.ok()) << lists << object.status().message();
    EXPECT_TRUE(Same(*object, sample));
    EXPECT_EQ(reinterpret_cast<const uint8_t*>(object->centroids.data()) - plain.data(),
              kCentroidsOffset);
    uint64_t rows = 0;
    for (const uint32_t n : sample.rows) rows += n;
    EXPECT_EQ(object->total_rows, rows);
  }
}

TEST(RoutingObject, HeadersOfEveryLengthFit) {
  for (const uint32_t n : {0u, 24u, 256u, 65536u, 0xffffffffu}) {
    for (const uint32_t dim : {1u, 1000u, 16000u}) {
      SampleRouting sample(3);
      sample.header.segment = sample.calibration.queries = n;
      sample.header.dim = dim;
      sample.header.padded_dim = (dim + 63) / 64 * 64;
      sample.centroids.assign(3 * sample.header.padded_dim, -128);
      const Bytes plain = Write(sample.contents());
      Result<RoutingObject> object = ParseRoutingObject(plain);
      ASSERT_TRUE(object.ok()) << object.status().message();
      EXPECT_TRUE(Same(*object, sample));
    }
  }
}

TEST(RoutingObject, WriterRefusesWhatDoesNotFit) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (auto spoil : std::vector<void (*)(SampleRouting*)>{
           [](SampleRouting* s) { s->centroids.pop_back(); },
           [](SampleRouting* s) { s->scale.pop_back(); },
           [](SampleRouting* s) { s->radius.push_back(0); },
           [](SampleRouting* s) { s->rows.clear(); },
           [](SampleRouting* s) { s->chunk_lists.pop_back(); },
           [](SampleRouting* s) { s->chunk_lists.push_back(0); },
           [](SampleRouting* s) { s->header.bits = 0; },
           [](SampleRouting* s) { s->header.padded_dim = 64; },
           [](SampleRouting* s) { s->scale[1] = kNan; }, [](SampleRouting* s) { s->scale[1] = -1; },
           [](SampleRouting* s) { s->radius[1] = kInfinity; },
           [](SampleRouting* s) { s->calibration.theta = kNan; },
           [](SampleRouting* s) { s->calibration.near_ratio = -1; },
           [](SampleRouting* s) { s->calibration.recall_target = 1.5f; },
           [](SampleRouting* s) { s->calibration.mean_rows = -1; }}) {
    SampleRouting sample(4);
    spoil(&sample);
    EXPECT_EQ(WriteRoutingObject(sample.contents()).status().code(), Code::kInternal);
  }
}

TEST(RoutingParser, EveryTruncationIsNoticed) {
  const Bytes plain = Write(SampleRouting(3).contents());
  for (size_t n = 0; n < plain.size(); ++n) {
    const Bytes cut(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(n));
    EXPECT_EQ(ParseRoutingObject(cut).status().code(), Code::kCorruption) << n;
  }
  Bytes more = plain;
  more.push_back(0);
  EXPECT_FALSE(ParseRoutingObject(more).ok());
}

TEST(RoutingParser, EveryFlippedBitIsAnErrorOrAnotherValue) {
  const SampleRouting sample(3);
  Bytes plain = Write(sample.contents());
  for (size_t bit = 0; bit < plain.size() * 8; ++bit) {
    plain[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    Result<RoutingObject> object = ParseRoutingObject(plain);
    if (object.ok()) {
      EXPECT_FALSE(Same(*object, sample)) << bit / 8;
    } else {
      EXPECT_EQ(object.status().code(), Code::kCorruption);
    }
    plain[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

TEST(RoutingParser, RefusesNonsenseValues) {
  const SampleRouting sample(3);
  Bytes plain = Write(sample.contents());
  const size_t chunk_lists_at = plain.size() - 8;
  plain[chunk_lists_at] = 3;  // 3 + 1 lists in chunks, 3 lists
  EXPECT_FALSE(ParseRoutingObject(plain).ok());
  plain[chunk_lists_at] = 3, plain[chunk_lists_at + 4] = 0;  // an empty chunk
  EXPECT_FALSE(ParseRoutingObject(plain).ok());
  plain[chunk_lists_at] = 2, plain[chunk_lists_at + 4] = 1;
  EXPECT_TRUE(ParseRoutingObject(plain).ok());
  const size_t scale_at = kCentroidsOffset + 3 * 128 + 6 + 2 + 1;
  for (const uint8_t top : {0x7f, 0xff}) {  // infinity or NaN; negative
    Bytes bad = plain;
    bad[scale_at + 2] = 0x80;
    bad[scale_at + 3] = top;
    EXPECT_FALSE(ParseRoutingObject(bad).ok());
  }
}

TEST(CheckRoutingHeader, NamesTheField) {
  const RoutingHeader header = SampleRouting(1).header;
  EXPECT_TRUE(CheckRoutingHeader(header, header).ok());
  RoutingHeader other = header;
  other.segment++;
  EXPECT_NE(CheckRoutingHeader(other, header).message().find("\"segment\""), std::string::npos);
  other = header;
  other.index[0] ^= 1;
  EXPECT_NE(CheckRoutingHeader(other, header).message().find("\"index\""), std::string::npos);
  other = header;
  other.bits = 1;
  EXPECT_EQ(CheckRoutingHeader(other, header).code(), Code::kCorruption);
}

}  // namespace
}  // namespace vdb::format
