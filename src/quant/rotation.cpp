#include "quant/rotation.h"

#include <bit>
#include <cmath>
#include <utility>

#include "base/random.h"
#include "base/strcat.h"
#include "quant/code_layout.h"
#include "simd/rotate.h"

namespace vdb::quant {

Rotation::Rotation(uint32_t dim, std::vector<uint64_t> signs)
    : dim_(dim), padded_(PaddedDim(dim)), signs_(std::move(signs)) {
  const size_t t = std::bit_floor(size_t{padded_});
  flips_.resize(size_t{padded_} * 4);
  for (size_t round = 0; round < 4; ++round) {
    const size_t start = round % 2 == 0 ? 0 : padded_ - t;
    const double mixed = t < padded_ && round > 0 ? std::sqrt(0.5) : 1;
    for (size_t i = 0; i < padded_; ++i) {
      const bool in_block = i >= start && i < start + t;
      const double scale = mixed * (in_block ? 1 / std::sqrt(static_cast<double>(t)) : 1);
      const bool flip = (signs_[round * (padded_ / 64) + i / 64] >> (i % 64) & 1) != 0;
      flips_[round * padded_ + i] = static_cast<float>(flip ? -scale : scale);
    }
  }
}

Rotation Rotation::Random(uint32_t dim, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<uint64_t> signs(RotationSignWords(PaddedDim(dim)));
  for (uint64_t& word : signs) word = random.Next();
  return Rotation(dim, std::move(signs));
}

Result<Rotation> Rotation::FromSigns(uint32_t dim, std::span<const uint64_t> signs) {
  const size_t expected = dim == 0 || dim > kMaxDim ? 0 : RotationSignWords(PaddedDim(dim));
  if (expected == 0 || signs.size() != expected) {
    return Corruption(StrCat("rotation has ", signs.size(), " words of sign bits, expected ",
                             expected, " for ", dim, " dimensions"));
  }
  return Rotation(dim, std::vector<uint64_t>(signs.begin(), signs.end()));
}

void Rotation::Apply(const float* in, float* out) const noexcept {
  simd::RotateKac(in, dim_, padded_, flips_.data(), out);
}

}  // namespace vdb::quant
