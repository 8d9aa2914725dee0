/// FFHT-Kac random rotation, O(D log D). Its state is 4 * D sign bits, kept by the index: never
/// re-derived.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace vdb::quant {

/// Words of sign bits a rotation of `padded_dim` dimensions has: row r (0..3) takes padded_dim/64
/// of them; bit i%64 of word i/64 set means: coordinate i changes sign in round r.
inline constexpr size_t RotationSignWords(uint32_t padded_dim) {
  return size_t{padded_dim} / 64 * 4;
}

class Rotation {
 public:
  /// New sign bits from a seed.
  static Rotation Random(uint32_t dim, uint64_t seed);
  /// From stored sign bits. Errors: kCorruption when their number does not fit dim.
  static Result<Rotation> FromSigns(uint32_t dim, std::span<const uint64_t> signs);

  uint32_t dim() const { return dim_; }
  uint32_t padded_dim() const { return padded_; }
  std::span<const uint64_t> signs() const { return signs_; }

  /// out (padded_dim,), 64-byte aligned, = R * (in padded with zeros). in (dim,) need not be
  /// aligned.
  void Apply(const float* in, float* out) const noexcept;

 private:
  Rotation(uint32_t dim, std::vector<uint64_t> signs);
  uint32_t dim_, padded_;
  std::vector<uint64_t> signs_;
  std::vector<float> flips_;  // 4 * padded_ factors +-1/sqrt(T) style, derived from signs_
};

}  // namespace vdb::quant
