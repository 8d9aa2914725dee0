/// Keys of all lists of a segment for one query, from the integer products of RankCentroids: the
/// order in which lists are scanned, and when to stop.
///
/// Shapes:  products, scale, norm_sq, radius (round_up(n, 16),), 64-byte aligned; keys
///          (round_up(n, 16),), 64-byte aligned; minima (round_up(n, 16) / 16,).
/// Units:   search units. By distance: d = |q - c|, key = d^2 + radius^2 - 2 * theta * radius *
///          max(d, near_ratio * radius), but d^2 - (theta * radius)^2 where that is negative. By
///          product: key = offset - <q, c> - theta * radius * |q|.
///          Without radii as if they were 0.
/// Errors:  none (noexcept). A key that is not finite becomes -FLT_MAX: such a list is scanned
///          first. Keys beyond n become infinity, which no real key is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vdb::simd {

struct ListKeyQuery {
  bool by_product;
  float q8_step;  // of the ScanQuery that was ranked
  float norm_sq;  // |q|^2
  float offset;   // by product only
  float theta, near_ratio;
  bool without_radii;
};

/// minima[g] is the smallest of keys[16g .. 16g + 15].
void ListKeys(const ListKeyQuery& query, const int32_t* products, const float* scale,
              const float* norm_sq, const float* radius, size_t n, float* keys,
              float* minima) noexcept;

/// Writes the numbers of all keys in (low, high] in ascending order of number, and returns how
/// many. keys and minima as ListKeys wrote them; out has room for n_groups * 16.
size_t SelectKeys(const float* keys, const float* minima, size_t n_groups, float low, float high,
                  uint32_t* out) noexcept;

/// ranks[i] is the place of keys[i] in ascending order; equal keys keep their order. Compares all
/// with all, without a branch: quicker than sorting up to some hundred keys.
/// Shapes: keys and ranks (round_up(n, 16),), 64-byte aligned; keys from n on are written to.
void RankKeys(float* keys, size_t n, uint32_t* ranks) noexcept;

}  // namespace vdb::simd
