/// Objects for tests, the same bytes in every run: what the golden files are made of.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "crypto/object_cipher.h"
#include "format/chunk.h"
#include "format/geometry.h"
#include "format/manifest.h"
#include "format/routing_object.h"

namespace vdb::format {

using Bytes = std::vector<uint8_t>;

/// Bytes of SplitMix64(seed), the lowest byte of each number.
inline Bytes SampleBytes(size_t n, uint64_t seed) {
  SplitMix64 random(seed);
  Bytes bytes(n);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.Next());
  return bytes;
}

/// An object as it is stored: all its frames.
inline Bytes SealObject(const crypto::ObjectCipher& cipher, const Bytes& plain) {
  Bytes stored(StoredBytes(plain.size()));
  for (uint64_t frame = 0; frame < FrameCount(plain.size()); ++frame) {
    cipher.SealFrame(
        frame, std::span(plain).subspan(frame * kFrameBytes, FramePlainBytes(plain.size(), frame)),
        stored.data() + StoredFrameOffset(frame));
  }
  return stored;
}

inline constexpr Uuid kSampleIndex = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17,
                                      0x98, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};

/// 100 dimensions (128 padded) of float32, 5 bits, with region C.
inline ChunkHeader SampleChunkHeader() {
  return {.index = kSampleIndex,
          .segment = 3,
          .chunk = 70000,
          .metric = Metric::kCosine,
          .element = ElementType::kFloat32,
          .dim = 100,
          .padded_dim = 128,
          .bits = 5,
          .block_bytes = 128 * 4 + 256,
          .ex_record_bytes = 8 + 128 / 8 * 4,
          .first_list = 300,
          .vectors = true};
}

/// 3 dimensions of float16, 1 bit, without region C.
inline ChunkHeader SmallChunkHeader() {
  return {.index = kSampleIndex,
          .segment = 1,
          .chunk = 0,
          .metric = Metric::kInnerProduct,
          .element = ElementType::kFloat16,
          .dim = 3,
          .padded_dim = 64,
          .bits = 1,
          .block_bytes = 64 * 4 + 256,
          .ex_record_bytes = 0,
          .first_list = 0,
          .vectors = false};
}

inline size_t ElementBytes(ElementType element) { return element == ElementType::kFloat32 ? 4 : 2; }

/// Appends a list whose three parts are SampleBytes of seeds 3 * seed, + 1 and + 2.
inline Status AddSampleList(const ChunkHeader& header, uint32_t rows, uint64_t seed,
                            ChunkWriter* writer) {
  const size_t vector_bytes = header.vectors ? header.dim * ElementBytes(header.element) : 0;
  return writer->AddList(rows, SampleBytes(size_t{(rows + 31) / 32} * header.block_bytes, 3 * seed),
                         SampleBytes(size_t{rows} * header.ex_record_bytes, 3 * seed + 1),
                         SampleBytes(rows * vector_bytes, 3 * seed + 2));
}

/// A chunk of lists with these rows; list i is made with seed i.
inline Bytes SampleChunk(const ChunkHeader& header, const std::vector<uint32_t>& list_rows) {
  ChunkWriter writer;
  EXPECT_TRUE(writer.Begin(header).ok());
  for (size_t i = 0; i < list_rows.size(); ++i)
    EXPECT_TRUE(AddSampleList(header, list_rows[i], i, &writer).ok());
  Result<std::span<const uint8_t>> plain = writer.Finish();
  EXPECT_TRUE(plain.ok()) << plain.status().message();
  return plain.ok() ? Bytes(plain->begin(), plain->end()) : Bytes();
}

/// The contents of a routing object and the arrays it points to.
struct SampleRouting {
  std::vector<int8_t> centroids;
  std::vector<float> scale, radius;
  std::vector<uint32_t> rows, chunk_lists;
  RoutingHeader header{.index = kSampleIndex,
                       .segment = 3,
                       .metric = Metric::kL2,
                       .element = ElementType::kFloat32,
                       .dim = 65,
                       .padded_dim = 128,
                       .bits = 5};
  RoutingCalibration calibration{.theta = 0.75f,
                                 .near_ratio = 1.25f,
                                 .l1_ratio_low = 1,
                                 .l1_ratio_high = 1,
                                 .recall_target = 0.95f,
                                 .measured_recall = 0.9625f,
                                 .mean_lists = 16.5f,
                                 .p80_lists = 24,
                                 .mean_rows = 4000,
                                 .queries = 1000};

  explicit SampleRouting(uint32_t lists) {
    for (const uint8_t byte : SampleBytes(size_t{lists} * header.padded_dim, 99))
      centroids.push_back(static_cast<int8_t>(byte));
    for (uint32_t i = 0; i < lists; ++i) {
      scale.push_back(0.001f * static_cast<float>(i + 1));
      radius.push_back(0.25f * static_cast<float>(i));
      rows.push_back(i * 37 % 300);
    }
    chunk_lists = lists == 1 ? std::vector<uint32_t>{1} : std::vector<uint32_t>{lists - 1, 1};
  }
  RoutingContents contents() const {
    return {header, calibration, centroids, scale, radius, rows, chunk_lists};
  }
};

inline ManifestObject SampleManifestObject(uint8_t seed) {
  ManifestObject object;
  for (size_t i = 0; i < object.id.size(); ++i) object.id[i] = static_cast<uint8_t>(seed + i);
  object.cid = "z" + std::string(40, static_cast<char>('a' + seed % 20));
  object.bytes = 1000u + seed;
  return object;
}

/// Of three chunks; replaces another one.
inline Manifest SampleManifest() {
  Manifest manifest;
  manifest.index.fill(0xab);
  manifest.epoch = 7;
  manifest.parent = "zParent";
  manifest.dimensions = 384;
  manifest.metric = Metric::kCosine;
  manifest.element = ElementType::kFloat16;
  manifest.chunk_size = 10000;
  manifest.total_vectors = 25;
  manifest.lists = 9;
  manifest.routing = SampleManifestObject(1);
  manifest.chunks = {{SampleManifestObject(2), 10, 0, 4},
                     {SampleManifestObject(3), 12, 4, 1},
                     {SampleManifestObject(4), 3, 5, 4}};
  return manifest;
}

}  // namespace vdb::format
