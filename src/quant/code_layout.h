/// CodeLayout: where each part of a RaBitQ code lies in memory and on disk. Format version 1.
///
/// A *row code* is one vector's code by itself (in sort tuples and delta pages), little-endian,
/// unaligned:
///     f_add f32 | f_rescale bf16 | f_error bf16 | sign bits, dim/8 bytes, bit i = dimension i
///     (first part) ex record: f_add f32 | f_rescale, f_error | ex codes (second part, bits > 1)
/// In the ex record f_rescale and f_error are bf16 up to 5 bits, f32 above (a bf16 would cost more
/// accuracy than the sixth bit brings).
///
/// A *block* is the first parts of 32 vectors, transposed for the fast scan; block_bytes is a
/// multiple of 64:
///     dim/4 groups of 16 bytes | f_add f32[32] | f_rescale bf16[32] | f_error bf16[32]
/// Group g covers dimensions 4g..4g+3 as a 4-bit number (bit j = dimension 4g+j). Byte k of a group
/// holds in its low nibble vector Lane(k), in its high nibble vector 16 + Lane(k), where Lane(k) =
/// k/2 for even k and 8 + k/2 for odd k: the order in which 16-bit accumulators of even and odd
/// bytes come out sorted.
///
/// Ex codes, bits-1 = E bits each, are cut into parts of 4, 2 and 1 bits, highest part first (E =
/// 7: 4,2,1; 6: 4,2; 5: 4,1; 3: 2,1). Part of width w, for each 64 dimensions: 8w bytes; byte i
/// holds dimensions i + k*8w for k = 0 .. 8/w-1, at bit k*w. Parts are stored one after the other,
/// each over all dimensions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vdb::quant {

inline constexpr uint32_t kBlockVectors = 32;
inline constexpr uint32_t kMaxBits = 8;
inline constexpr uint32_t kMaxDim = 16000;
inline constexpr uint32_t kDimMultiple = 64;

/// The rotated space has this many dimensions.
inline constexpr uint32_t PaddedDim(uint32_t dim) {
  return (dim + kDimMultiple - 1) / kDimMultiple * kDimMultiple;
}

struct CodeLayout {
  uint32_t dim;   // padded: a multiple of 64
  uint32_t bits;  // 1 sign bit + (bits - 1) extra bits

  constexpr uint32_t ex_bits() const { return bits - 1; }
  constexpr size_t first_bytes() const { return 8 + dim / 8; }
  constexpr size_t ex_factor_bytes() const { return bits == 1 ? 0 : bits <= 5 ? 8 : 12; }
  constexpr size_t ex_code_bytes() const { return size_t{dim} / 8 * ex_bits(); }
  constexpr size_t ex_record_bytes() const { return ex_factor_bytes() + ex_code_bytes(); }
  constexpr size_t row_bytes() const { return first_bytes() + ex_record_bytes(); }
  constexpr size_t block_code_bytes() const { return size_t{dim} * 4; }
  constexpr size_t block_bytes() const { return block_code_bytes() + kBlockVectors * 8; }
};

}  // namespace vdb::quant
