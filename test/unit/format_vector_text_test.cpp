#include "format/vector_text.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace vdb::format {
namespace {

using enum VectorTextError;

struct Parsed {
  VectorTextError error;
  std::vector<float> values;
  std::string token;
};

Parsed ParseFloats(const std::string& text, size_t capacity = 16) {
  std::vector<float> values(capacity);
  const VectorText result = ParseVector(text, std::span(values));
  values.resize(static_cast<size_t>(result.dim));
  return {result.error, values, std::string(result.token)};
}

Parsed ParseHalves(const std::string& text) {
  std::array<Half, 16> halves;
  const VectorText result = ParseVector(text, std::span<Half>(halves));
  std::vector<float> values;
  for (int i = 0; i < result.dim; ++i) values.push_back(HalfToFloat(halves[i]));
  return {result.error, values, std::string(result.token)};
}

void ExpectFloats(const std::string& text, const std::vector<float>& expected) {
  SCOPED_TRACE(text);
  const Parsed parsed = ParseFloats(text);
  EXPECT_EQ(parsed.error, kNone);
  EXPECT_EQ(parsed.values, expected);
}

TEST(VectorText, ReadsNumbersInEveryNotation) {
  ExpectFloats("[1,2.5,-3]", {1, 2.5, -3});
  ExpectFloats("[1.,.5,-.25,+4]", {1, .5, -.25, 4});
  ExpectFloats("[1e3,1E-2,2.5e+1]", {1000, .01f, 25});
  ExpectFloats("[0x10,0x1p-1,-0x1.8p1]", {16, .5, -3});
  ExpectFloats("[16777217,0.1000000014901161193847656]", {16777216, .1f});
}

TEST(VectorText, AllowsBlanksBetweenTokens) { ExpectFloats(" [ 1 ,\t2\n,\r3\v\f] \n", {1, 2, 3}); }

TEST(VectorText, KeepsTheSignOfZero) {
  const Parsed parsed = ParseFloats("[-0,0,-1e-50]");
  ASSERT_EQ(parsed.values.size(), 3u);
  EXPECT_TRUE(std::signbit(parsed.values[0]));
  EXPECT_FALSE(std::signbit(parsed.values[1]));
  EXPECT_TRUE(std::signbit(parsed.values[2]));
}

TEST(VectorText, UnderflowGivesZeroOrTheNearestSubnormal) {
  ExpectFloats("[1e-46,1e-45,1e-400]", {0, std::numeric_limits<float>::denorm_min(), 0});
}

TEST(VectorText, RefusesBadStructure) {
  const std::pair<const char*, VectorTextError> cases[] = {
      {"", kNoOpeningBracket},
      {"   ", kNoOpeningBracket},
      {"1,2", kNoOpeningBracket},
      {"{1,2}", kNoOpeningBracket},
      {"]", kNoOpeningBracket},
      {"[]", kNoElements},
      {"[ ]", kNoElements},
      {"[", kSyntax},
      {"[1", kSyntax},
      {"[1,", kSyntax},
      {"[1,]", kSyntax},
      {"[,1]", kSyntax},
      {"[1,,2]", kSyntax},
      {"[1 2]", kSyntax},
      {"[a]", kSyntax},
      {"[1e]", kSyntax},
      {"[1.2.3]", kSyntax},
      {"[+-1]", kSyntax},
      {"[--1]", kSyntax},
      {"[+]", kSyntax},
      {"[.]", kSyntax},
      {"[0xg]", kSyntax},
      {"[[1]]", kSyntax},
      {"[1]]", kJunkAtEnd},
      {"[1] x", kJunkAtEnd},
      {"[1],", kJunkAtEnd},
      {"[1],[2]", kJunkAtEnd},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_EQ(ParseFloats(text).error, error) << text;
    EXPECT_EQ(ParseHalves(text).error, error) << text;
  }
}

TEST(VectorText, RefusesWhatIsNotFinite) {
  for (const char* text : {"[nan]", "[NaN]", "[-nan]", "[+nan]", "[1,nan(7)]"}) {
    EXPECT_EQ(ParseFloats(text).error, kNan) << text;
    EXPECT_EQ(ParseHalves(text).error, kNan) << text;
  }
  for (const char* text : {"[inf]", "[-Infinity]", "[+INF]", "[1, inf]"}) {
    EXPECT_EQ(ParseFloats(text).error, kInfinite) << text;
    EXPECT_EQ(ParseHalves(text).error, kInfinite) << text;
  }
}

TEST(VectorText, NamesTheNumberThatOverflows) {
  EXPECT_EQ(ParseFloats("[3.4028235e38,-3.4028235e38]").error, kNone);
  for (const char* number : {"4e38", "-4e38", "+4e38", "1e400", "0x1p128"}) {
    const Parsed parsed = ParseFloats(std::string("[1, ") + number + " ]");
    EXPECT_EQ(parsed.error, kOutOfRange) << number;
    EXPECT_EQ(parsed.token, number);
  }
}

TEST(VectorText, HalvesRoundAndOverflowAsBinary16) {
  EXPECT_EQ(ParseHalves("[65504,65519,-65504,1e-8,0.1]").values,
            (std::vector<float>{65504, 65504, -65504, 0, 0.0999755859375f}));
  for (const char* number : {"65520", "-65520", "1e38", "1e39"}) {
    const Parsed parsed = ParseHalves(std::string("[") + number + "]");
    EXPECT_EQ(parsed.error, kOutOfRange) << number;
    EXPECT_EQ(parsed.token, number);
  }
}

TEST(VectorText, StopsAtTheEndOfTheOutput) {
  EXPECT_EQ(ParseFloats("[1,2,3]", 3).error, kNone);
  const Parsed parsed = ParseFloats("[1,2,3,4]", 3);
  EXPECT_EQ(parsed.error, kTooManyElements);
  EXPECT_EQ(parsed.values, (std::vector<float>{1, 2, 3}));
}

TEST(VectorText, CountsTheElementsOfWellFormedText) {
  EXPECT_EQ(CountElements("[7]"), 1);
  EXPECT_EQ(CountElements(" [1, 2,3 ] "), 3);
}

// The fast path must round like strtof, which the standard library rounds correctly.
TEST(VectorText, AgreesWithStrtofOnRandomNumbers) {
  constexpr uint64_t kSeed = 20240817;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  SplitMix64 random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random.Next()));
    if (!std::isfinite(value)) continue;
    char digits[64];
    const int precision = static_cast<int>(1 + random.Below(12));
    snprintf(digits, sizeof(digits), "%.*e", precision, value);
    const float expected = std::strtof(digits, nullptr);
    if (std::isinf(expected)) continue;
    const Parsed parsed = ParseFloats(std::string("[") + digits + "]");
    ASSERT_EQ(parsed.error, kNone) << digits;
    ASSERT_EQ(std::bit_cast<uint32_t>(parsed.values[0]), std::bit_cast<uint32_t>(expected))
        << digits;
  }
}

}  // namespace
}  // namespace vdb::format
