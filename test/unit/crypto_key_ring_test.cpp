#include "crypto/key_ring.h"

#include <gtest/gtest.h>

#include <string>

namespace vdb::crypto {
namespace {

// The bytes 0, 1, ..., 31 and 32 times 0xff.
const std::string kHex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string kBase64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const std::string kOnes(64, 'f');
const std::string kOnesUrl = "__________________________________________8";

KeyRing Parse(const std::string& text) {
  Result<KeyRing> ring = ParseKeyRing(text);
  EXPECT_TRUE(ring.ok()) << ring.status().message();
  return ring.ok() ? std::move(ring).value() : KeyRing();
}

std::string Error(const std::string& text) {
  Result<KeyRing> ring = ParseKeyRing(text);
  if (ring.ok()) return "parsed";
  EXPECT_EQ(ring.status().code(), Code::kInvalidArgument);
  return ring.status().message();
}

bool SameKey(const MasterKey& a, const MasterKey& b) {
  return EqualSecrets(a.key.bytes(), b.key.bytes());
}

TEST(KeyRing, OneBareKeyInEachSpelling) {
  const KeyRing hex = Parse(kHex);
  ASSERT_EQ(hex.size(), 1u);
  for (uint8_t i = 0; i < kKeyBytes; ++i) EXPECT_EQ(hex.current().key.data()[i], i);
  for (const std::string& text :
       {kHex + "\n", kBase64, kBase64 + "\r\n", kBase64.substr(0, 43), "  " + kHex + "\t"}) {
    const KeyRing ring = Parse(text);
    ASSERT_EQ(ring.size(), 1u);
    EXPECT_TRUE(SameKey(ring.current(), hex.current())) << text;
    EXPECT_EQ(ring.current().id, hex.current().id);
  }
  EXPECT_TRUE(SameKey(Parse(kOnesUrl).current(), Parse(kOnes).current()));
  EXPECT_EQ(hex.current().id.size(), 16u);
  EXPECT_NE(hex.current().id, Parse(kOnes).current().id);
}

TEST(KeyRing, FirstKeyIsCurrent) {
  const KeyRing ring = Parse("# keys\n\n2026-01:" + kOnes + "\n2025:" + kBase64 + "\n");
  ASSERT_EQ(ring.size(), 2u);
  EXPECT_EQ(ring.current().id, "2026-01");
  ASSERT_NE(ring.Find("2025"), nullptr);
  EXPECT_EQ(ring.Find("2025")->key.data()[31], 31);
  EXPECT_EQ(ring.Find("2024"), nullptr);
  EXPECT_EQ(ring.Find(""), nullptr);
}

TEST(KeyRing, KeysAreAlsoKnownByTheirFingerprint) {
  const std::string fingerprint = Parse(kHex).current().id;
  const KeyRing ring = Parse("new:" + kOnes + "\nold:" + kHex);
  ASSERT_NE(ring.Find(fingerprint), nullptr);
  EXPECT_EQ(ring.Find(fingerprint)->id, "old");
}

TEST(KeyRing, ErrorsNameTheLineAndNeverTheKey) {
  EXPECT_EQ(Error(""), "there is no master key");
  EXPECT_EQ(Error("\n# nothing\n"), "there is no master key");
  EXPECT_EQ(Error(kHex.substr(1)), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error(kHex + "0"), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error("\na:" + kHex.substr(2) + "zz"), "malformed key in line 2 of the master keys");
  EXPECT_EQ(Error("a:" + kBase64.substr(0, 42)), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error("a:" + kBase64 + "="), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error("a:"), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error(":" + kHex), "malformed key id in line 1 of the master keys");
  EXPECT_EQ(Error("a b:" + kHex), "malformed key id in line 1 of the master keys");
  EXPECT_EQ(Error(std::string(32, 'a') + ":" + kHex),
            "malformed key id in line 1 of the master keys");
  EXPECT_EQ(Error(kHex + ":" + kHex), "malformed key id in line 1 of the master keys");
  EXPECT_EQ(Error("a:b:" + kHex), "malformed key in line 1 of the master keys");
  EXPECT_EQ(Error("a:" + kHex + "\na:" + kOnes), "master key \"a\" is given twice");
  EXPECT_EQ(Error(kHex + "\n" + kBase64),
            "master key \"" + Parse(kHex).current().id + "\" is given twice");
  EXPECT_EQ(Error(std::string(kMaxKeyRingTextBytes + 1, '\n')),
            "the master keys take more than 16384 bytes");

  for (const std::string& text : {"x" + kHex, kHex + ":x", "a:" + kBase64 + "x"}) {
    Result<KeyRing> ring = ParseKeyRing(text);
    ASSERT_FALSE(ring.ok());
    const Status& status = ring.status();
    for (const std::string& said : {status.message(), status.detail(), status.hint()}) {
      EXPECT_EQ(said.find(kHex.substr(0, 12)), std::string::npos);
      EXPECT_EQ(said.find(kBase64.substr(0, 8)), std::string::npos);
    }
  }
}

TEST(KeyRing, NumberOfKeysIsBounded) {
  KeyRing ring;
  for (size_t i = 0; i < kMaxRingKeys; ++i)
    ASSERT_TRUE(ring.Add(std::to_string(i), SecretKey()).ok());
  EXPECT_EQ(ring.Add("more", SecretKey()).message(), "there are more than 1024 master keys");
}

TEST(KeyRing, LongestIdIsKept) {
  const std::string id(kMaxKeyIdBytes, 'z');
  EXPECT_EQ(Parse(id + ":" + kHex).current().id, id);
}

}  // namespace
}  // namespace vdb::crypto
