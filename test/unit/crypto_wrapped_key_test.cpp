#include "crypto/wrapped_key.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace vdb::crypto {
namespace {

SecretKey Filled(uint8_t byte) {
  std::array<uint8_t, kKeyBytes> bytes;
  bytes.fill(byte);
  return SecretKey(bytes);
}

KeyRing Ring(std::initializer_list<std::pair<const char*, uint8_t>> keys) {
  KeyRing ring;
  for (const auto& [id, byte] : keys) EXPECT_TRUE(ring.Add(id, Filled(byte)).ok());
  return ring;
}

constexpr Uuid kIndex = {1, 2, 3, 4};

WrappedKey Wrap(const KeyRing& ring) {
  Result<WrappedKey> wrapped = WrapDataKey(ring, kIndex, Filled(0x77));
  EXPECT_TRUE(wrapped.ok());
  return *wrapped;
}

TEST(WrappedKey, RoundTrip) {
  const KeyRing ring = Ring({{"a", 1}, {"b", 2}});
  const WrappedKey wrapped = Wrap(ring);
  EXPECT_TRUE(wrapped.present());
  EXPECT_STREQ(wrapped.key_id, "a");
  EXPECT_EQ(std::memchr(wrapped.ciphertext, 0x77, 4), nullptr) << "not in the clear";
  Result<SecretKey> key = UnwrapDataKey(ring, kIndex, wrapped);
  ASSERT_TRUE(key.ok());
  EXPECT_TRUE(EqualSecrets(key->bytes(), Filled(0x77).bytes()));
  EXPECT_FALSE(WrappedKey{}.present());
}

TEST(WrappedKey, EachWrapHasItsOwnNonce) {
  const KeyRing ring = Ring({{"a", 1}});
  const WrappedKey first = Wrap(ring), second = Wrap(ring);
  EXPECT_NE(std::memcmp(first.nonce, second.nonce, sizeof(first.nonce)), 0);
  EXPECT_NE(std::memcmp(first.ciphertext, second.ciphertext, sizeof(first.ciphertext)), 0);
}

TEST(WrappedKey, OldKeysStillUnwrapAndAreRecognised) {
  const WrappedKey wrapped = Wrap(Ring({{"old", 1}}));
  const KeyRing ring = Ring({{"new", 2}, {"old", 1}});
  EXPECT_TRUE(UnwrapDataKey(ring, kIndex, wrapped).ok());
  EXPECT_FALSE(IsUnderCurrentKey(ring, wrapped));
  EXPECT_TRUE(IsUnderCurrentKey(ring, Wrap(ring)));
}

TEST(WrappedKey, BareKeyMayBeNamedLater) {
  const WrappedKey wrapped = Wrap(Ring({{"", 1}}));
  const KeyRing ring = Ring({{"new", 2}, {"old", 1}});
  EXPECT_TRUE(UnwrapDataKey(ring, kIndex, wrapped).ok());
  EXPECT_FALSE(IsUnderCurrentKey(ring, wrapped));
}

TEST(WrappedKey, MissingKey) {
  Result<SecretKey> key = UnwrapDataKey(Ring({{"b", 2}}), kIndex, Wrap(Ring({{"a", 1}})));
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(key.status().message(), "master key \"a\" is not available");
  EXPECT_FALSE(key.status().hint().empty());
  EXPECT_EQ(WrapDataKey(KeyRing(), kIndex, Filled(1)).status().message(), "there is no master key");
}

TEST(WrappedKey, WrongKeyUnderTheSameId) {
  Result<SecretKey> key = UnwrapDataKey(Ring({{"a", 2}}), kIndex, Wrap(Ring({{"a", 1}})));
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(key.status().message(), "wrong master key \"a\"");
}

TEST(WrappedKey, BelongsToItsIndex) {
  const KeyRing ring = Ring({{"a", 1}});
  const Uuid other = {1, 2, 3, 5};
  EXPECT_FALSE(UnwrapDataKey(ring, other, Wrap(ring)).ok());
}

TEST(WrappedKey, EveryFlippedBitIsNoticed) {
  const KeyRing ring = Ring({{"a", 1}});
  const WrappedKey wrapped = Wrap(ring);
  for (size_t bit = 0; bit < sizeof(wrapped) * 8; ++bit) {
    WrappedKey damaged = wrapped;
    reinterpret_cast<uint8_t*>(&damaged)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(UnwrapDataKey(ring, kIndex, damaged).ok()) << bit;
  }
}

TEST(WrappedKey, MalformedRecordIsCorruption) {
  const KeyRing ring = Ring({{"a", 1}});
  WrappedKey wrapped = Wrap(ring);
  std::memset(wrapped.key_id, 'a', sizeof(wrapped.key_id));  // not terminated
  EXPECT_EQ(UnwrapDataKey(ring, kIndex, wrapped).status().code(), Code::kCorruption);
  EXPECT_EQ(UnwrapDataKey(ring, kIndex, WrappedKey{}).status().code(), Code::kCorruption);
}

TEST(Uuid, IsRandomVersion4) {
  Result<Uuid> a = RandomUuid(), b = RandomUuid();
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(*a, *b);
  EXPECT_EQ((*a)[6] >> 4, 4);
  EXPECT_EQ((*a)[8] >> 6, 2);
}

}  // namespace
}  // namespace vdb::crypto
