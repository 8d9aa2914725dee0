/// The loops of Encoder over one vector's dimensions, dispatched at run time to the best
/// instruction set.
///
/// Shapes:  vector, centroid (dim,), 64-byte aligned; dim % 64 == 0. r = vector - centroid.
/// Errors:  none (noexcept); allocates nothing. NaN gives NaN sums and some code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vdb::simd {

/// Sums over the dimensions of one residual; sign_i = 1 where r_i > 0, else -1.
struct ResidualSums {
  float norm_sq;        // sum r_i^2
  float abs_sum;        // sum |r_i|
  float max_abs;        // max |r_i|
  float dot_centroid;   // sum r_i c_i
  float sign_centroid;  // sum sign_i c_i
};

/// Writes the sign bits, dim/8 bytes, to `bits` and returns the sums.
ResidualSums EncodeSigns(const float* vector, const float* centroid, size_t dim,
                         uint8_t* bits) noexcept;

/// The scale t for which the integers floor(t |r_i|) + 1/2, cut off at `max_level`, point best in
/// the direction of |r|: 16 candidates about what fits the residual's spread and largest value.
/// Pre: sums are of this residual, sums.norm_sq > 0.
float BestScale(const float* vector, const float* centroid, size_t dim, uint32_t max_level,
                const ResidualSums& sums) noexcept;

/// Sums over x_i = sign_i * (e_i + 1/2).
struct ExSums {
  float dot_residual;  // sum r_i x_i
  float norm_sq;       // sum x_i^2
  float dot_centroid;  // sum c_i x_i
};

/// Writes ex codes of `ex_bits` (1..7) bits at scale t, dim/8 * ex_bits bytes
/// (quant/code_layout.h): e_i, or its complement where r_i is not above 0.
ExSums EncodeExtra(const float* vector, const float* centroid, size_t dim, uint32_t ex_bits,
                   float scale, uint8_t* codes) noexcept;

}  // namespace vdb::simd
