#include "crypto/object_cipher.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "crypto/hash.h"

namespace vdb::crypto {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kSeed = 7;

SecretKey Key(uint8_t first) {
  std::array<uint8_t, kKeyBytes> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(first + i);
  return SecretKey(bytes);
}

ObjectNonce Nonce(uint8_t first) {
  ObjectNonce nonce;
  for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<uint8_t>(first + 3 * i);
  return nonce;
}

Bytes Plain(size_t bytes) {
  SplitMix64 random(kSeed + bytes);
  Bytes plain(bytes);
  for (uint8_t& b : plain) b = static_cast<uint8_t>(random.Next());
  return plain;
}

Bytes Seal(const ObjectCipher& cipher, uint64_t frame, const Bytes& plain) {
  Bytes stored(plain.size() + kTagBytes);
  cipher.SealFrame(frame, plain, stored.data());
  return stored;
}

// Whether it opens; what comes out is all zeros if it does not.
bool Opens(const ObjectCipher& cipher, uint64_t frame, std::span<const uint8_t> stored) {
  Bytes out(stored.size() + 1, 0xee);
  const Status status = cipher.OpenFrame(frame, stored, out.data());
  if (!status.ok()) {
    EXPECT_EQ(status.code(), Code::kCorruption);
    EXPECT_NE(status.message().find("frame " + std::to_string(frame)), std::string::npos);
    const size_t plain = stored.size() < kTagBytes ? 0 : stored.size() - kTagBytes;
    EXPECT_TRUE(std::all_of(out.begin(), out.begin() + static_cast<ptrdiff_t>(plain),
                            [](uint8_t b) { return b == 0; }));
    EXPECT_EQ(out.back(), 0xee);
  }
  return status.ok();
}

class ObjectCipherTest : public testing::TestWithParam<bool> {
 protected:
  static ObjectCipher Make(uint8_t key, uint8_t nonce) {
    return GetParam() ? ObjectCipher::Encrypted(Key(key), Nonce(nonce))
                      : ObjectCipher::Unencrypted(Nonce(nonce));
  }
  const ObjectCipher cipher_ = Make(1, 1);
};

TEST_P(ObjectCipherTest, RoundTrip) {
  for (const size_t bytes : {0, 1, 15, 16, 17, 1000, 16383, 16384}) {
    const Bytes plain = Plain(bytes);
    Bytes stored = Seal(cipher_, 5, plain);
    Bytes out(bytes);
    ASSERT_TRUE(cipher_.OpenFrame(5, stored, out.data()).ok()) << bytes;
    EXPECT_EQ(out, plain);
    // In place, both ways.
    ASSERT_TRUE(cipher_.OpenFrame(5, stored, stored.data()).ok());
    EXPECT_TRUE(std::equal(plain.begin(), plain.end(), stored.begin()));
    cipher_.SealFrame(5, std::span(stored).first(bytes), stored.data());
    EXPECT_EQ(stored, Seal(cipher_, 5, plain));
  }
}

TEST_P(ObjectCipherTest, EveryFlippedBitIsNoticed) {
  Bytes stored = Seal(cipher_, 0, Plain(100));
  for (size_t bit = 0; bit < stored.size() * 8; ++bit) {
    stored[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Opens(cipher_, 0, stored)) << bit;
    stored[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  EXPECT_TRUE(Opens(cipher_, 0, stored));
}

TEST_P(ObjectCipherTest, EveryOtherLengthIsNoticed) {
  Bytes stored = Seal(cipher_, 0, Plain(100));
  for (size_t bytes = 0; bytes < stored.size(); ++bytes) {
    EXPECT_FALSE(Opens(cipher_, 0, std::span(stored).first(bytes))) << bytes;
  }
  stored.push_back(0);
  EXPECT_FALSE(Opens(cipher_, 0, stored));
}

TEST_P(ObjectCipherTest, FramesHoldTheirPlace) {
  const Bytes plain = Plain(16384);
  for (const uint64_t frame : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256},
                               uint64_t{65536}, uint64_t{1} << 32, uint64_t{1} << 63}) {
    const Bytes stored = Seal(cipher_, frame, plain);
    EXPECT_TRUE(Opens(cipher_, frame, stored));
    for (const uint64_t other :
         {frame + 1, frame - 1, frame ^ 256, frame << 8, frame | uint64_t{1} << 40})
      EXPECT_EQ(Opens(cipher_, other, stored), other == frame) << frame << " at " << other;
  }
}

TEST_P(ObjectCipherTest, FramesBelongToTheirObject) {
  const Bytes stored = Seal(cipher_, 3, Plain(500));
  EXPECT_FALSE(Opens(Make(1, 2), 3, stored)) << "another object";
  EXPECT_TRUE(Opens(Make(1, 1), 3, stored));
}

INSTANTIATE_TEST_SUITE_P(EncryptedAndNot, ObjectCipherTest, testing::Bool());

TEST(ObjectCipher, NeedsTheKey) {
  const Bytes stored = Seal(ObjectCipher::Encrypted(Key(1), Nonce(1)), 0, Plain(500));
  EXPECT_FALSE(Opens(ObjectCipher::Encrypted(Key(2), Nonce(1)), 0, stored));
  EXPECT_FALSE(Opens(ObjectCipher::Unencrypted(Nonce(1)), 0, stored));
}

TEST(ObjectCipher, HidesThePlaintextAndTheSameFrameElsewhere) {
  const Bytes plain(16384, 0x61);
  const ObjectCipher cipher = ObjectCipher::Encrypted(Key(1), Nonce(1));
  const Bytes first = Seal(cipher, 0, plain), second = Seal(cipher, 1, plain);
  EXPECT_LT(std::count(first.begin(), first.end(), 0x61), 200);
  EXPECT_NE(first, second);
  EXPECT_NE(first, Seal(ObjectCipher::Encrypted(Key(1), Nonce(2)), 0, plain));
  EXPECT_TRUE(cipher.encrypted());
}

TEST(ObjectCipher, UnencryptedIsThePlaintextAndATag) {
  const Bytes plain = Plain(300);
  const Bytes stored = Seal(ObjectCipher::Unencrypted(Nonce(1)), 9, plain);
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), stored.begin()));
  EXPECT_FALSE(ObjectCipher::Unencrypted(Nonce(1)).encrypted());
}

// The scheme as docs/format.md has it, from libsodium and BLAKE3 alone.
TEST(ObjectCipher, IsTheDocumentedScheme) {
  const SecretKey data_key = Key(1);
  const ObjectNonce object_nonce = Nonce(1);
  const Bytes plain = Plain(1000);
  uint8_t nonce[24] = {0x02, 0x01};  // frame 258

  const SecretKey key = DeriveKey("vdb_ext format 1 object key", data_key.bytes(), object_nonce);
  Bytes expected(plain.size() + 16);
  crypto_aead_xchacha20poly1305_ietf_encrypt(expected.data(), nullptr, plain.data(), plain.size(),
                                             nullptr, 0, nullptr, nonce, key.data());
  EXPECT_EQ(Seal(ObjectCipher::Encrypted(data_key, object_nonce), 258, plain), expected);

  const SecretKey check = DeriveKey("vdb_ext format 1 object check", object_nonce);
  expected = plain;
  expected.resize(plain.size() + 16);
  KeyedHash(check, plain, std::span(nonce, 8), std::span(expected).last(16));
  EXPECT_EQ(Seal(ObjectCipher::Unencrypted(object_nonce), 258, plain), expected);
}

TEST(ObjectCipher, NoncesAreRandom) {
  Result<ObjectNonce> a = RandomObjectNonce(), b = RandomObjectNonce();
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(*a, *b);
}

}  // namespace
}  // namespace vdb::crypto
