#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>

namespace vdb::crypto {
namespace {

bool AllZero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

TEST(SecretKey, IsNotCopied) {
  static_assert(!std::is_copy_constructible_v<SecretKey>);
  static_assert(!std::is_copy_assignable_v<SecretKey>);
}

TEST(SecretKey, RandomKeysDiffer) {
  Result<SecretKey> a = SecretKey::Random(), b = SecretKey::Random();
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(AllZero(a->bytes()));
  EXPECT_FALSE(EqualSecrets(a->bytes(), b->bytes()));
}

TEST(SecretKey, MovingWipesTheSource) {
  Result<SecretKey> made = SecretKey::Random();
  ASSERT_TRUE(made.ok());
  SecretKey a = std::move(made).value();
  const SecretKey copy(a.bytes());
  SecretKey b = std::move(a);
  EXPECT_TRUE(AllZero(a.bytes()));
  EXPECT_TRUE(EqualSecrets(b.bytes(), copy.bytes()));
  SecretKey c;
  c = std::move(b);
  EXPECT_TRUE(AllZero(b.bytes()));
  EXPECT_TRUE(EqualSecrets(c.bytes(), copy.bytes()));
}

TEST(SecretKey, DestructionWipes) {
  alignas(SecretKey) unsigned char memory[sizeof(SecretKey)];
  std::memset(memory, 0xee, sizeof(memory));
  std::array<uint8_t, kKeyBytes> bytes;
  bytes.fill(0x55);
  auto* key = new (memory) SecretKey(bytes);
  EXPECT_EQ(memory[0], 0x55);
  key->~SecretKey();
  EXPECT_TRUE(AllZero(memory));
}

TEST(Wipe, ClearsAStringUpToItsCapacity) {
  std::string text(100, 'k');
  text.resize(10);
  const char* const data = text.data();
  Wipe(&text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), data);
  text.resize(50);  // does not reallocate
  EXPECT_EQ(text.find('k'), std::string::npos);
}

TEST(EqualSecrets, ComparesLengthAndBytes) {
  const uint8_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
  EXPECT_TRUE(EqualSecrets(a, a));
  EXPECT_FALSE(EqualSecrets(a, b));
  EXPECT_FALSE(EqualSecrets(a, std::span(a).first(2)));
}

}  // namespace
}  // namespace vdb::crypto
