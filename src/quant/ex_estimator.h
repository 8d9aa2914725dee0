/// ExEstimator: ExEstimate with everything that depends on the query alone worked out once.
#pragma once

#include <cmath>
#include <cstring>

#include "base/half.h"
#include "quant/code_layout.h"
#include "quant/rabitq.h"
#include "simd/scan.h"

namespace vdb::quant {

class ExEstimator {
 public:
  ExEstimator() = default;
  /// What q points at must outlive the estimator. shared: of q's coordinates so many are rounded
  /// alike. Pre: layout.bits > 1.
  ExEstimator(const CodeLayout& layout, const simd::ScanQuery& q, float shared = 1)
      : query_(q),
        ex_bits_(layout.ex_bits()),
        short_factors_(layout.bits <= 5),
        top_(static_cast<float>(1u << layout.ex_bits())),
        half_sum_(q.sum * 0.5f),
        ex_centre_((top_ - 1) * 0.5f * q.q8_sum) {
    // The query was rounded too: dim/4 table entries, each off by step/sqrt 12 and counting
    // 2^ex_bits times, and dim coordinates, which count e_i times, with e_i spread over 0 ..
    // 2^ex_bits - 1. From 6 bits on, and for queries far longer than their distance to the
    // centroid, this outweighs the code's own error.
    const float dim = static_cast<float>(layout.dim), table = top_ * q.step;
    const float coordinates = (top_ - 1) * q.q8_step;
    rounding_sq_ = shared * kRoundingSigmas * kRoundingSigmas * dim *
                   (table * table * (1.0f / 48) + coordinates * coordinates * (1.0f / 144));
  }

  /// One ex record and what its estimate is made of.
  struct Input {
    const uint8_t* record;  // unaligned
    float ip, g_add, g_error;
  };
  static constexpr size_t kMaxInputs = 16;

  /// As ExEstimate for each of n <= kMaxInputs records; out (n,).
  void operator()(const Input* in, size_t n, Estimate* out) const noexcept {
    const size_t factor_bytes = short_factors_ ? 8 : 12;
    const uint8_t* codes[kMaxInputs];
    for (size_t i = 0; i < n; ++i) codes[i] = in[i].record + factor_bytes;
    float extra[kMaxInputs];
    simd::ExDots(query_, codes, n, ex_bits_, extra);
    for (size_t i = 0; i < n; ++i) out[i] = Finish(in[i], extra[i]);
  }
  Estimate operator()(const uint8_t* ex, float ip, float g_add, float g_error) const noexcept {
    const Input in = {ex, ip, g_add, g_error};
    Estimate out;
    (*this)(&in, 1, &out);
    return out;
  }

 private:
  Estimate Finish(const Input& in, float extra) const noexcept {
    float add, rescale, error;
    std::memcpy(&add, in.record, 4);
    if (short_factors_) {
      uint16_t bits[2];
      std::memcpy(bits, in.record + 4, 4);
      rescale = BfloatToFloat(bits[0]);
      error = BfloatToFloat(bits[1]);
    } else {
      std::memcpy(&rescale, in.record + 4, 4);
      std::memcpy(&error, in.record + 8, 4);
    }
    // <x, q> in two parts that each stay small when q's coordinates have a large sum.
    const float product = top_ * (in.ip - half_sum_) + (extra - ex_centre_);
    const float code = error * in.g_error;
    return {add + in.g_add + rescale * product,
            std::sqrt(code * code + rescale * rescale * rounding_sq_)};
  }

  simd::ScanQuery query_{};
  uint32_t ex_bits_ = 0;
  bool short_factors_ = false;
  float top_ = 0, half_sum_ = 0, ex_centre_ = 0, rounding_sq_ = 0;
};

}  // namespace vdb::quant
