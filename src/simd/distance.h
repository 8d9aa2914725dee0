/// Exact distances between float and half vectors, dispatched at run time to the best instruction
/// set.
///
/// Shapes:  a, b (n,). No alignment needed; never reads past n.
/// Units:   L2Sq is squared; the caller takes the root. Half inputs are widened, sums are float.
/// Errors:  none (noexcept). NaN and infinity propagate.
#pragma once

#include <cstddef>

#include "base/half.h"

namespace vdb::simd {

float L2Sq(const float* a, const float* b, size_t n) noexcept;
float Dot(const float* a, const float* b, size_t n) noexcept;
float L1(const float* a, const float* b, size_t n) noexcept;

float L2Sq(const Half* a, const Half* b, size_t n) noexcept;
float Dot(const Half* a, const Half* b, size_t n) noexcept;
float L1(const Half* a, const Half* b, size_t n) noexcept;

float L2Sq(const float* a, const Half* b, size_t n) noexcept;
float Dot(const float* a, const Half* b, size_t n) noexcept;
float L1(const float* a, const Half* b, size_t n) noexcept;

/// <a, b>, |a|^2 and |b|^2 in one pass.
struct CosineParts {
  float dot, norm_sq_a, norm_sq_b;
};
CosineParts Cosine(const float* a, const float* b, size_t n) noexcept;
CosineParts Cosine(const Half* a, const Half* b, size_t n) noexcept;
CosineParts Cosine(const float* a, const Half* b, size_t n) noexcept;

void HalfToFloat(const Half* in, float* out, size_t n) noexcept;
void FloatToHalf(const float* in, Half* out, size_t n) noexcept;

/// The instruction set in use: "AVX3_DL", "AVX2", "NEON", ... (Highway's target names).
const char* TargetName() noexcept;

}  // namespace vdb::simd
