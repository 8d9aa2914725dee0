/// LatencyHistogram: how long requests took, in steps of a fifth, from 64 us to 17 minutes.
///
/// Like Breaker it is atomics that are valid when all zeros, and may lie in shared memory. Any
/// thread, any process; a reader who comes in between sees a few counts more or less.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace vdb::store {

class LatencyHistogram {
 public:
  void Add(int64_t us) noexcept;
  /// How many are counted. Past a few thousand all counts are halved: old ones fade.
  uint64_t count() const noexcept;
  /// The time that a share `q`, between 0 and 1, of requests kept to, in us; 0 without any.
  int64_t Quantile(double q) const noexcept;
  void Reset() noexcept;

 private:
  static constexpr size_t kSteps = 24 * 4;
  static size_t StepOf(int64_t us) noexcept;
  static int64_t UpperUs(size_t step) noexcept;

  std::array<std::atomic<uint32_t>, kSteps> counts_;
  std::atomic<uint32_t> since_halved_;
};
static_assert(std::is_trivially_copyable_v<LatencyHistogram>);

}  // namespace vdb::store
