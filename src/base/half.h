/// IEEE 754 binary16 and bfloat16 as storage formats: bit patterns in a uint16_t, and scalar
/// conversions. Rounding is to nearest, ties to even, unless the name says otherwise. Bulk
/// conversion is in simd/.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace vdb {

/// The bits of a binary16 number: the element type of `halfvec`.
struct Half {
  uint16_t bits;
};
static_assert(sizeof(Half) == 2);

inline float HalfToFloat(Half h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  const uint32_t exponent = (h.bits >> 10) & 0x1fu;
  const uint32_t mantissa = h.bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/// Values beyond the range of binary16 become infinity; the caller checks where that is an error.
inline Half FloatToHalf(float f) {
  const uint32_t u = std::bit_cast<uint32_t>(f);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 lets the adder round to the right bit.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
}

inline float BfloatToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t FloatToBfloat(float f) {
  const uint32_t u = std::bit_cast<uint32_t>(f);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/// The smallest bfloat16 that is not below `f`. Pre: f is finite and >= 0.
inline uint16_t FloatToBfloatUp(float f) {
  return static_cast<uint16_t>((std::bit_cast<uint32_t>(f) + 0xffffu) >> 16);
}

}  // namespace vdb
