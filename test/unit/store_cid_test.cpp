#include "store/cid.h"

#include <gtest/gtest.h>

#include <sodium.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "store/multibase.h"
#include "store/registry.h"

namespace vdb::store {
namespace {

using Bytes = std::vector<uint8_t>;

nlohmann::json Vectors() {
  return nlohmann::json::parse(std::ifstream(VDB_GOLDEN_DIR "/s5/vectors.json"));
}

Bytes FromHex(const std::string& hex) {
  Result<Bytes> bytes = DecodeMultibase("f" + hex);
  EXPECT_TRUE(bytes.ok()) << hex;
  return std::move(bytes).value();
}

template <size_t n>
std::array<uint8_t, n> ArrayFromHex(const std::string& hex) {
  const Bytes bytes = FromHex(hex);
  std::array<uint8_t, n> out{};
  EXPECT_EQ(bytes.size(), n);
  std::copy_n(bytes.begin(), std::min(n, bytes.size()), out.begin());
  return out;
}

std::string Hex(std::span<const uint8_t> bytes) { return EncodeMultibase('f', bytes).substr(1); }

/// The plaintexts that the vectors name by their label.
Bytes Plaintext(const std::string& label, size_t size) {
  if (label == "Hello, world!") return Bytes(label.begin(), label.end());
  Bytes bytes(size);
  if (label.find("i%251") != std::string::npos) {
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i % 251);
  }
  return bytes;
}

TEST(Multibase, DecodesWhatItEncodes) {
  constexpr uint64_t kSeed = 20261122;
  SplitMix64 random(kSeed);
  for (const char base : {'z', 'b', 'u', 'f'}) {
    for (size_t size = 0; size < 80; ++size) {
      Bytes bytes(size);
      // The first ones keep leading zeros, which base58 counts.
      for (size_t i = size / 8; i < size; ++i) bytes[i] = static_cast<uint8_t>(random.Next());
      const Result<Bytes> back = DecodeMultibase(EncodeMultibase(base, bytes));
      ASSERT_TRUE(back.ok()) << base << size;
      EXPECT_EQ(back.value(), bytes) << base << size;
    }
  }
}

TEST(Multibase, RefusesWhatNoEncoderWrites) {
  for (const char* bad : {"", "m", "Zabc", "z0", "zO", "zI", "zl", "z ", "b1", "bA", "ba", "bb7",
                          "u=", "ua", "uab+", "uaB", "f0", "fg0", "fAB"}) {
    EXPECT_EQ(DecodeMultibase(bad).status().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(DecodeMultibase("z" + std::string(kMaxMultibaseBytes, '2')).ok());
}

TEST(Base64, PublishedVectors) {
  const auto encode = [](std::string_view text) {
    return EncodeBase64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(encode(""), "");
  EXPECT_EQ(encode("f"), "Zg==");
  EXPECT_EQ(encode("fo"), "Zm8=");
  EXPECT_EQ(encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(DecodeBase64Url("Zg==").value(), Bytes{'f'});
  EXPECT_EQ(DecodeBase64Url("Zm8").value(), (Bytes{'f', 'o'}));
  EXPECT_EQ(EncodeBase64Url(Bytes{0xfb, 0xff}), "-_8");
}

TEST(Cid, AgreesWithS5) {
  const nlohmann::json vectors = Vectors();
  ASSERT_EQ(vectors["cids"].size(), 4u);
  for (const auto& vector : vectors["cids"]) {
    SCOPED_TRACE(vector["label"]);
    const BlobId blob{ArrayFromHex<32>(vector["blake3"]), vector["size"]};
    const Bytes plain = Plaintext(vector["label"], blob.size);
    EXPECT_EQ(crypto::Blake3(plain), blob.digest);
    const std::pair<const char*, Bytes> forms[] = {{"blob", BlobIdBytes(blob)},
                                                   {"legacy", LegacyCid(blob)}};
    for (const auto& [form, bytes] : forms) {
      const auto& texts = vector[form];
      EXPECT_EQ(EncodeMultibase('f', bytes), texts["hex"]);
      EXPECT_EQ(EncodeMultibase('b', bytes), texts["base32"]);
      EXPECT_EQ(EncodeMultibase('z', bytes), texts["base58"]);
      EXPECT_EQ(EncodeMultibase('u', bytes), texts["base64url"]);
      for (const auto& text : texts) {
        const Result<BlobId> parsed = ParseCidText(text.get<std::string>());
        ASSERT_TRUE(parsed.ok()) << text;
        EXPECT_EQ(parsed.value(), blob);
      }
    }
  }
}

TEST(Cid, SizesOfZeroToEightBytesAreRead) {
  BlobId blob;
  Bytes bytes = LegacyCid(blob);
  bytes.pop_back();
  EXPECT_EQ(ParseCid(bytes).value(), blob);
  bytes.insert(bytes.end(), 8, 0);
  EXPECT_EQ(ParseCid(bytes).value(), blob);
  bytes.push_back(0);
  EXPECT_FALSE(ParseCid(bytes).ok());
  blob.size = UINT64_MAX;
  EXPECT_EQ(LegacyCid(blob).size(), 2u + 32 + 8);
  EXPECT_EQ(ParseCid(LegacyCid(blob)).value(), blob);
}

TEST(Cid, TruncationsAndOtherKindsAreRefused) {
  const Bytes bytes = BlobIdBytes({{}, 0});
  for (size_t size = 0; size + 1 < bytes.size(); ++size) {
    EXPECT_FALSE(ParseCid(std::span(bytes).first(size)).ok()) << size;
  }
  Bytes other = LegacyCid({{}, 5});
  other[0] = 0x27;
  EXPECT_FALSE(ParseCid(other).ok());
}

TEST(EncryptedCid, AgreesWithS5) {
  const nlohmann::json vectors = Vectors();
  int seen = 0;
  for (const auto& vector : vectors["encryption"]) {
    if (!vector.contains("encryptedCID_hex")) continue;
    SCOPED_TRACE(vector["label"]);
    const Bytes bytes = FromHex(vector["encryptedCID_hex"]);
    const Result<EncryptedCid> cid = ParseEncryptedCid(bytes);
    ASSERT_TRUE(cid.ok());
    EXPECT_EQ(cid.value().chunk_log2, 18);
    EXPECT_EQ(Hex(cid.value().encrypted_digest), vector["ct_blake3"]);
    EXPECT_EQ(Hex(cid.value().plain.digest), vector["plain_blake3"]);
    EXPECT_EQ(Hex(cid.value().key).substr(0, 8), "00010203");
    EXPECT_EQ(cid.value().padding, vector["padding"]);
    EXPECT_EQ(EncryptedCidBytes(cid.value()), bytes);
    EXPECT_EQ(EncodeMultibase('u', bytes), vector["encryptedCID_u"]);
    for (size_t size = 0; size < bytes.size() - 9; ++size) {
      EXPECT_FALSE(ParseEncryptedCid(std::span(bytes).first(size)).ok()) << size;
    }
    ++seen;
  }
  EXPECT_EQ(seen, 6);
}

TEST(EncryptedCid, ChunkSizeIsBounded) {
  EncryptedCid cid;
  cid.chunk_log2 = 14;
  EXPECT_EQ(ParseEncryptedCid(EncryptedCidBytes(cid)).value(), cid);
  cid.chunk_log2 = 32;
  EXPECT_FALSE(ParseEncryptedCid(EncryptedCidBytes(cid)).ok());
}

/// XChaCha20-Poly1305 of chunk after chunk, the chunk's number being the nonce: what docs/format.md
/// says of our frames, which are chunks of 2^14 bytes.
Bytes SealChunks(const Bytes& plain, const Bytes& key, size_t chunk_bytes) {
  Bytes stored;
  for (size_t at = 0; at < plain.size(); at += chunk_bytes) {
    const size_t bytes = std::min(chunk_bytes, plain.size() - at);
    std::array<uint8_t, 24> nonce{};
    nonce[0] = static_cast<uint8_t>(at / chunk_bytes);
    Bytes sealed(bytes + 16);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data() + at, bytes,
                                               nullptr, 0, nullptr, nonce.data(), key.data());
    stored.insert(stored.end(), sealed.begin(), sealed.end());
  }
  return stored;
}

TEST(EncryptedBlob, SchemeAgreesWithS5) {
  const nlohmann::json vectors = Vectors();
  int seen = 0;
  for (const auto& vector : vectors["encryption"]) {
    if (vector["enc"] != "chunked-no-padding") continue;
    SCOPED_TRACE(vector["label"]);
    const Bytes stored = SealChunks(Plaintext(vector["label"], vector["size"]),
                                    FromHex(vector["key"]), size_t{1} << 18);
    EXPECT_EQ(stored.size(), vector["ct_size"]);
    EXPECT_EQ(Hex(crypto::Blake3(stored)), vector["ct_blake3"]);
    EXPECT_TRUE(Hex(stored).ends_with(vector["last_tag"].get<std::string>()));
    ++seen;
  }
  EXPECT_EQ(seen, 6);
}

TEST(MutableBlob, SchemeAgreesWithS5) {
  const nlohmann::json vector = Vectors()["mutable"];
  const Bytes nonce = FromHex(vector["nonce"]), key = FromHex(vector["key"]);
  Bytes stored = {0x8d, 0x01};
  stored.insert(stored.end(), nonce.begin(), nonce.end());
  const size_t total = vector["total"];
  Bytes plain(total - stored.size() - 16);
  const std::string text = vector["back"];
  plain[0] = static_cast<uint8_t>(text.size());
  std::copy(text.begin(), text.end(), plain.begin() + 4);
  Bytes sealed(plain.size() + 16);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data(), plain.size(),
                                             nullptr, 0, nullptr, nonce.data(), key.data());
  stored.insert(stored.end(), sealed.begin(), sealed.end());
  EXPECT_TRUE(Hex(stored).starts_with(vector["head"].get<std::string>()));
  EXPECT_EQ(Hex(crypto::Blake3(stored)), vector["blake3"]);
}

TEST(RegistryEntry, AgreesWithS5) {
  std::string signed_vector, serialized;
  const nlohmann::json vectors = Vectors();
  for (const std::string line : vectors["registry"]) {
    const std::string kSigned = "registry sig seed0 rev1 data0x33 ";
    const std::string kSerialized = "registry serialized ";
    if (line.starts_with(kSigned)) signed_vector = line.substr(kSigned.size(), 128);
    if (line.starts_with(kSerialized)) serialized = line.substr(kSerialized.size());
  }
  ASSERT_EQ(signed_vector.size(), 128u);
  const crypto::SecretKey seed;  // zeros
  const Result<crypto::Signature> signature = crypto::Sign(seed, RegistryMessage(1, Bytes(33)));
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(Hex(signature.value()), signed_vector);

  const Bytes bytes = FromHex(serialized);
  const Result<RegistryEntry> entry = ParseRegistryEntry(bytes);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry.value().revision, 7u);
  EXPECT_EQ(entry.value().data.size(), 33u);
  EXPECT_EQ(entry.value().key, crypto::PublicKeyOf(seed).value());
  const Bytes message = RegistryMessage(7, entry.value().data);
  EXPECT_TRUE(crypto::Verifies(entry.value().key, message, entry.value().signature));
  EXPECT_EQ(crypto::Sign(seed, message).value(), entry.value().signature);
  EXPECT_EQ(SerializeRegistryEntry(entry.value()), bytes);
  EXPECT_FALSE(crypto::Verifies(entry.value().key, RegistryMessage(8, entry.value().data),
                                entry.value().signature));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseRegistryEntry(std::span(bytes).first(size)).ok()) << size;
  }
}

}  // namespace
}  // namespace vdb::store
