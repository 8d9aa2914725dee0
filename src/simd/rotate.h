/// The loops of quant::Rotation: four rounds of sign flips, Hadamard transform and mixing,
/// dispatched at run time to the best instruction set.
///
/// Shapes:  in (dim,), of any alignment; factors (4, padded), of any alignment; out (padded,),
///          64-byte aligned and not overlapping in. padded % 64 == 0, dim <= padded.
/// Errors:  none (noexcept); allocates nothing.
#pragma once

#include <cstddef>

namespace vdb::simd {

/// Round r multiplies by row r of factors, transforms the first (r even) or last (r odd) t
/// coordinates, t the largest power of two in padded, and, if t < padded, replaces each pair (x_i,
/// x_{i + padded/2}) by its sum and difference. Nothing is normalised but the last mixing, by
/// 1/sqrt 2: the rest of it is in factors.
void RotateKac(const float* in, size_t dim, size_t padded, const float* factors,
               float* out) noexcept;

}  // namespace vdb::simd
