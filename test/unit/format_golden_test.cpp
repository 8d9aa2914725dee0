/// Golden files: objects, frames, wrapped keys and manifests of this version, byte for byte. (Pages
/// are held against docs/format.md by test/tap/023_format.pl.) A release's files are never changed;
/// a new format version adds its own. VDB_WRITE_GOLDEN=1 writes those that are missing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crypto/hash.h"
#include "crypto/object_cipher.h"
#include "crypto/wrapped_key.h"
#include "format/manifest.h"
#include "unit/format_samples.h"

namespace vdb::format {
namespace {

// 00 01 .. 1f, 80 81 .. 9f and a0 a1 .. bf.
template <class Array>
Array Counting(uint8_t first) {
  Array bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(first + i);
  return bytes;
}
crypto::SecretKey DataKey() {
  return crypto::SecretKey(Counting<std::array<uint8_t, crypto::kKeyBytes>>(0));
}
crypto::KeyRing Ring() {
  crypto::KeyRing ring;
  EXPECT_TRUE(
      ring.Add("2025-11", crypto::SecretKey(Counting<std::array<uint8_t, crypto::kKeyBytes>>(0x80)))
          .ok());
  return ring;
}
crypto::ObjectNonce Nonce() { return Counting<crypto::ObjectNonce>(0xa0); }

Bytes Chunk() { return SampleChunk(SampleChunkHeader(), {40, 0, 7, 65}); }
Bytes SmallChunk() { return SampleChunk(SmallChunkHeader(), {3}); }
Bytes Routing() { return WriteRoutingObject(SampleRouting(5).contents()).value(); }

Result<Bytes> Open(const crypto::ObjectCipher& cipher, const Bytes& stored) {
  if (!IsStoredSize(stored.size())) return Corruption("no object has this size");
  Bytes plain(PlainBytes(stored.size()));
  for (uint64_t frame = 0; frame < FrameCount(plain.size()); ++frame)
    VDB_RETURN_IF_ERROR(cipher.OpenFrame(
        frame,
        std::span(stored).subspan(StoredFrameOffset(frame),
                                  FramePlainBytes(plain.size(), frame) + kFrameTagBytes),
        plain.data() + frame * kFrameBytes));
  return plain;
}

std::filesystem::path PathOf(const char* name) {
  return std::filesystem::path(VDB_GOLDEN_DIR) / name;
}

Bytes ReadGolden(const char* name) {
  std::ifstream in(PathOf(name), std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

void WriteIfAsked(const char* name, const Bytes& bytes) {
  if (std::getenv("VDB_WRITE_GOLDEN") == nullptr || std::filesystem::exists(PathOf(name))) return;
  std::ofstream out(PathOf(name), std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

void ExpectGolden(const char* name, const Bytes& bytes) {
  WriteIfAsked(name, bytes);
  EXPECT_TRUE(ReadGolden(name) == bytes) << name << " differs";
}

TEST(Golden, Chunk) {
  ExpectGolden("chunk/v1.cbor", Chunk());
  const Bytes golden = ReadGolden("chunk/v1.cbor");
  Result<ChunkView> view = ParseChunk(golden);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->header, SampleChunkHeader());
  EXPECT_EQ(view->geometry.rows, 112u);
}

TEST(Golden, SmallChunk) {
  ExpectGolden("chunk/small_v1.cbor", SmallChunk());
  const Bytes golden = ReadGolden("chunk/small_v1.cbor");
  Result<ChunkView> view = ParseChunk(golden);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->header, SmallChunkHeader());
}

TEST(Golden, Routing) {
  ExpectGolden("routing/v2.cbor", Routing());
  const Bytes golden = ReadGolden("routing/v2.cbor");
  Result<RoutingObject> object = ParseRoutingObject(golden);
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->calibration, SampleRouting(5).calibration);
  // Its theta is one of another rule.
  EXPECT_EQ(ParseRoutingObject(ReadGolden("routing/v1.cbor")).status().code(), Code::kCorruption);
}

TEST(Golden, Manifest) {
  const std::string text = WriteManifest(SampleManifest()).value();
  ExpectGolden("manifest/v2.json", Bytes(text.begin(), text.end()));
  const Bytes golden = ReadGolden("manifest/v2.json");
  Result<Manifest> manifest = ParseManifest(std::string(golden.begin(), golden.end()));
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(*manifest, SampleManifest());
}

TEST(Golden, EncryptedObject) {
  const auto cipher = crypto::ObjectCipher::Encrypted(DataKey(), Nonce());
  ExpectGolden("frame/encrypted_v1.bin", SealObject(cipher, Chunk()));
  Result<Bytes> plain = Open(cipher, ReadGolden("frame/encrypted_v1.bin"));
  ASSERT_TRUE(plain.ok());
  EXPECT_TRUE(*plain == ReadGolden("chunk/v1.cbor"));
  EXPECT_GT(FrameCount(plain->size()), 2u);
}

TEST(Golden, UnencryptedObject) {
  const auto cipher = crypto::ObjectCipher::Unencrypted(Nonce());
  ExpectGolden("frame/unencrypted_v1.bin", SealObject(cipher, Chunk()));
  Result<Bytes> plain = Open(cipher, ReadGolden("frame/unencrypted_v1.bin"));
  ASSERT_TRUE(plain.ok());
  EXPECT_TRUE(*plain == ReadGolden("chunk/v1.cbor"));
}

// What a mover or a failing disk may do to the stored bytes.
TEST(Golden, DamagedObjectsDoNotOpen) {
  for (const bool encrypted : {true, false}) {
    const auto cipher = encrypted ? crypto::ObjectCipher::Encrypted(DataKey(), Nonce())
                                  : crypto::ObjectCipher::Unencrypted(Nonce());
    const Bytes stored =
        ReadGolden(encrypted ? "frame/encrypted_v1.bin" : "frame/unencrypted_v1.bin");
    Bytes swapped = stored;
    std::swap_ranges(swapped.begin(), swapped.begin() + kStoredFrameBytes,
                     swapped.begin() + kStoredFrameBytes);
    EXPECT_EQ(Open(cipher, swapped).status().code(), Code::kCorruption);
    const auto other = Counting<crypto::ObjectNonce>(0xa1);
    EXPECT_FALSE(Open(encrypted ? crypto::ObjectCipher::Encrypted(DataKey(), other)
                                : crypto::ObjectCipher::Unencrypted(other),
                      stored)
                     .ok());
    // Cut at a frame boundary the frames are authentic, but the document is not whole.
    Result<Bytes> cut = Open(cipher, Bytes(stored.begin(), stored.begin() + kStoredFrameBytes));
    ASSERT_TRUE(cut.ok());
    EXPECT_EQ(ParseChunk(*cut).status().code(), Code::kCorruption);
  }
}

TEST(Golden, WrappedKey) {
  const crypto::WrappedKey made = crypto::WrapDataKey(Ring(), kSampleIndex, DataKey()).value();
  Bytes bytes(sizeof(made));
  std::memcpy(bytes.data(), &made, sizeof(made));
  WriteIfAsked("keys/wrapped_v1.bin", bytes);  // its nonce is random: only read back
  const Bytes golden = ReadGolden("keys/wrapped_v1.bin");
  crypto::WrappedKey wrapped;
  ASSERT_EQ(golden.size(), sizeof(wrapped));
  std::memcpy(&wrapped, golden.data(), sizeof(wrapped));
  Result<crypto::SecretKey> key = crypto::UnwrapDataKey(Ring(), kSampleIndex, wrapped);
  ASSERT_TRUE(key.ok()) << key.status().message();
  EXPECT_TRUE(crypto::EqualSecrets(key->bytes(), DataKey().bytes()));
}

}  // namespace
}  // namespace vdb::format
