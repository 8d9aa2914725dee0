#include "quant/rotation.h"

#include <bit>
#include <cmath>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "quant/code_layout.h"
#include "simd_targets.h"

namespace vdb::quant {
namespace {

std::vector<float> Numbers(size_t n, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(random.Unit() * 2 - 1);
  return v;
}

/// The definition, in doubles: flips, Hadamard over the first or last T, mixing of the halves.
std::vector<double> Reference(const std::vector<float>& in, std::span<const uint64_t> signs,
                              size_t padded) {
  std::vector<double> x(padded, 0);
  for (size_t i = 0; i < in.size(); ++i) x[i] = in[i];
  const size_t t = std::bit_floor(padded);
  for (size_t round = 0; round < 4; ++round) {
    for (size_t i = 0; i < padded; ++i) {
      if (signs[round * padded / 64 + i / 64] >> (i % 64) & 1) x[i] = -x[i];
    }
    double* y = round % 2 == 0 ? x.data() : x.data() + padded - t;
    for (size_t h = 1; h < t; h *= 2) {
      for (size_t i = 0; i < t; ++i) {
        if (i & h) continue;
        const double a = y[i], b = y[i + h];
        y[i] = a + b;
        y[i + h] = a - b;
      }
    }
    for (size_t i = 0; i < t; ++i) y[i] /= std::sqrt(static_cast<double>(t));
    if (t == padded) continue;
    for (size_t i = 0; i < padded / 2; ++i) {
      const double a = x[i], b = x[i + padded / 2];
      x[i] = (a + b) / std::sqrt(2.0);
      x[i + padded / 2] = (a - b) / std::sqrt(2.0);
    }
  }
  return x;
}

TEST(Rotation, EveryTargetFollowsTheDefinition) {
  simd::ForEachTarget([] {
    for (uint32_t dim : {1u, 3u, 63u, 64u, 65u, 100u, 128u, 200u, 384u, 512u, 960u, 1023u, 1024u,
                         1025u, 1536u, 16000u}) {
      SCOPED_TRACE(dim);
      const Rotation rotation = Rotation::Random(dim, dim + 7);
      ASSERT_EQ(rotation.padded_dim(), PaddedDim(dim));
      const std::vector<float> in = Numbers(dim, dim);
      AlignedBuffer<float> out(rotation.padded_dim());
      for (float& x : out.span()) x = NAN;  // all of it must be written
      rotation.Apply(in.data(), out.data());
      const std::vector<double> expected = Reference(in, rotation.signs(), out.size());
      double norm_sq = 0, error_sq = 0;
      for (size_t i = 0; i < out.size(); ++i) {
        norm_sq += expected[i] * expected[i];
        error_sq += (out[i] - expected[i]) * (out[i] - expected[i]);
      }
      EXPECT_LE(std::sqrt(error_sq), 2e-6 * std::sqrt(norm_sq));
    }
  });
}

TEST(Rotation, KeepsDistancesAndSpreadsEnergy) {
  for (uint32_t dim : {64u, 100u, 384u, 512u, 1000u}) {
    const Rotation rotation = Rotation::Random(dim, 1);
    std::vector<float> one_hot(dim, 0.0f);
    one_hot[dim / 2] = 1;
    AlignedBuffer<float> out(rotation.padded_dim());
    rotation.Apply(one_hot.data(), out.data());
    double norm_sq = 0;
    float largest = 0;
    for (float x : out.span()) {
      norm_sq += double{x} * x;
      largest = std::max(largest, std::fabs(x));
    }
    EXPECT_NEAR(norm_sq, 1, 1e-5);
    EXPECT_LE(largest, 6 / std::sqrt(static_cast<float>(out.size()))) << dim;
  }
}

TEST(Rotation, StoredSignsGiveTheSameRotation) {
  const Rotation first = Rotation::Random(100, 42);
  Result<Rotation> second = Rotation::FromSigns(100, first.signs());
  ASSERT_TRUE(second.ok());
  const std::vector<float> in = Numbers(100, 3);
  AlignedBuffer<float> a(128), b(128), c(128);
  first.Apply(in.data(), a.data());
  second->Apply(in.data(), b.data());
  Rotation::Random(100, 43).Apply(in.data(), c.data());
  size_t differences = 0;
  for (size_t i = 0; i < 128; ++i) {
    EXPECT_EQ(a[i], b[i]);
    differences += a[i] != c[i];
  }
  EXPECT_GT(differences, 100u);
}

TEST(Rotation, SignsOfTheWrongNumberAreCorruption) {
  const std::vector<uint64_t> signs(RotationSignWords(512));
  EXPECT_TRUE(Rotation::FromSigns(512, signs).ok());
  EXPECT_EQ(Rotation::FromSigns(513, signs).status().code(), Code::kCorruption);
  EXPECT_EQ(Rotation::FromSigns(448, signs).status().code(), Code::kCorruption);
  EXPECT_EQ(Rotation::FromSigns(0, {}).status().code(), Code::kCorruption);
  EXPECT_EQ(Rotation::FromSigns(kMaxDim + 1, std::vector<uint64_t>(RotationSignWords(16064)))
                .status()
                .code(),
            Code::kCorruption);
}

}  // namespace
}  // namespace vdb::quant
