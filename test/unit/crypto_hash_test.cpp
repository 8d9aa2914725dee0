#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/random.h"

namespace vdb::crypto {
namespace {

std::string Hex(std::span<const uint8_t> bytes) {
  std::string hex;
  for (const uint8_t b : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", b);
    hex += digits;
  }
  return hex;
}

// The inputs of BLAKE3's published test vectors: 0, 1, ..., 250, 0, 1, ...
std::vector<uint8_t> VectorInput(size_t bytes) {
  std::vector<uint8_t> input(bytes);
  for (size_t i = 0; i < bytes; ++i) input[i] = static_cast<uint8_t>(i % 251);
  return input;
}

std::span<const uint8_t> Bytes(const char* text) {
  return {reinterpret_cast<const uint8_t*>(text), std::char_traits<char>::length(text)};
}

constexpr char kVectorKey[] = "whats the Elvish word for friend";
constexpr char kVectorContext[] = "BLAKE3 2019-12-27 16:29:52 test vectors context";

TEST(Hash, PublishedVectors) {
  EXPECT_EQ(Hex(Blake3({})), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  EXPECT_EQ(Hex(Blake3(VectorInput(1))),
            "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
}

TEST(Hash, PublishedVectorsOfTheKeyedModes) {
  const SecretKey key(std::span<const uint8_t, kKeyBytes>(Bytes(kVectorKey)));
  Hash keyed;
  KeyedHash(key, {}, {}, keyed);
  EXPECT_EQ(Hex(keyed), "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26");
  EXPECT_EQ(Hex(DeriveKey(kVectorContext, {}).bytes()),
            "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d");
}

TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(Hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256(Bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, PiecesMakeTheWhole) {
  constexpr uint64_t kSeed = 20251122;
  SCOPED_TRACE(kSeed);
  SplitMix64 random(kSeed);
  for (const size_t bytes : {0, 1, 63, 64, 65, 1023, 1024, 1025, 16384, 16400, 100000}) {
    const std::vector<uint8_t> input = VectorInput(bytes);
    Hasher hasher;
    hasher.Update(Bytes("something else"));
    hasher.Reset();
    for (size_t at = 0; at < bytes;) {
      const size_t piece = std::min<size_t>(bytes - at, 1 + random.Below(5000));
      hasher.Update(std::span(input).subspan(at, piece));
      at += piece;
    }
    EXPECT_EQ(hasher.Finish(), Blake3(input)) << bytes;
    EXPECT_EQ(hasher.Finish(), Blake3(input)) << "Finish changes nothing";
  }
}

TEST(DeriveKey, ContextAndEachPieceMatter) {
  const auto a = VectorInput(32), b = VectorInput(24);
  const std::string base = Hex(DeriveKey("one", a, b).bytes());
  EXPECT_NE(base, Hex(DeriveKey("two", a, b).bytes()));
  EXPECT_NE(base, Hex(DeriveKey("one", a).bytes()));
  EXPECT_NE(base, Hex(DeriveKey("one", b, a).bytes()));
  EXPECT_EQ(base, Hex(DeriveKey("one", a, b).bytes()));
}

}  // namespace
}  // namespace vdb::crypto
