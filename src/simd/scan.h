/// Kernels of the search: fast-scan over blocks of 1-bit codes, ex-code products, centroid ranking.
/// Memory layouts are those of quant/code_layout.h. Every target gives the same integers; floats
/// agree to 1e-5 relative. All functions are noexcept and allocate nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vdb::simd {

/// One query, prepared once, for all blocks and ex records of an index.
///
/// The look-up table has 16 bytes for each 4 dimensions: table[g*16 + c] = round((sum of q[4g+j]
/// over the bits j of c - min_g) / step), so <bits, q> = step * sum + bias.
struct ScanQuery {
  const uint8_t* table;  // (dim * 4,), 64-byte aligned
  const int8_t* q8;      // (dim,) round(q / q8_step), 64-byte aligned
  size_t dim;            // padded
  float step, bias;      // of the table
  float q8_step;
  float sum;     // sum of q
  float q8_sum;  // q8_step * sum of q8: what products with q8 are centred by, so that roundings of
                 // q cancel
};

/// Fills table (dim*4 bytes) and q8 (dim bytes), both 64-byte aligned, from the rotated query (dim
/// floats, 64-byte aligned), and returns the ScanQuery that points at them.
ScanQuery PrepareScanQuery(const float* query, size_t dim, uint8_t* table, int8_t* q8) noexcept;

/// A vector whose 1-bit lower bound is under the threshold.
struct Survivor {
  float lower_bound;
  float estimate;
  float ip;        // <sign bits, q>, for ExEstimate
  uint32_t index;  // block * 32 + lane, counted from the run's first block
};

/// Scans `n_blocks` contiguous blocks (64-byte aligned). For each lane:
///   estimate = f_add + g_add + f_rescale * (ip - sum/2);  lower_bound = estimate - f_error *
///   g_error.
/// Writes a Survivor for each lane with lower_bound < tau whose bit in skip[block] is clear (skip
/// may be null: none skipped; it has one word a block), at most n_rows lanes in all (the tail of
/// the last block is padding). out has room for n_rows. Returns how many were written, in index
/// order. 16-bit accumulators are spilled each 1024 dimensions.
size_t ScanBlocks(const ScanQuery& q, const uint8_t* blocks, size_t n_blocks, size_t n_rows,
                  const uint32_t* skip, float g_add, float g_error, float tau,
                  Survivor* out) noexcept;

/// The same estimate for a row code's first part (quant/code_layout.h), as delta pages hold it: `n`
/// rows, `stride` bytes apart, no alignment. centre terms as for a list. Writes estimate and lower
/// bound of each row. <bits, q> is taken from q8, not from the table, so it differs from
/// ScanBlocks's by the two roundings.
void ScanRows(const ScanQuery& q, const uint8_t* rows, size_t stride, size_t n, float g_add,
              float g_error, float* estimate, float* lower_bound) noexcept;

/// out[r] = sum of e_i * q_i over the ex codes (not the factors) of record r, for r < n; ex_bits
/// 1..7. Codes unaligned, out (n,).
void ExDots(const ScanQuery& q, const uint8_t* const* ex_codes, size_t n, uint32_t ex_bits,
            float* out) noexcept;

/// Centroids as int8, each with its own scale. `interleaved` holds them in groups of 16, 64-byte
/// aligned: byte (g * dim + (j & ~3)) * 16 + c * 4 + (j & 3) is dimension j of centroid g * 16 + c;
/// the last group is padded with zeros. sums[i] = sum_j centroid_i[j], for i < round_up(n, 16) (u8
/// x i8 instructions need it).
void InterleaveCentroids(const int8_t* rows, size_t n, size_t dim, int8_t* interleaved,
                         int32_t* sums) noexcept;

/// out[i] = sum_j q8[j] * centroid_i[j] as integers, for i < round_up(n, 16). q8 as in ScanQuery.
void RankCentroids(const int8_t* q8, const int8_t* interleaved, const int32_t* sums, size_t n,
                   size_t dim, int32_t* out) noexcept;

/// sum_j q[j] * c[j] with c int8 (dim,): the exact product for probed lists.
float DotInt8(const float* q, const int8_t* c, size_t dim) noexcept;

}  // namespace vdb::simd
