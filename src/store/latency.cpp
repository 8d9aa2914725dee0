#include "store/latency.h"

#include <algorithm>
#include <bit>

namespace vdb::store {
namespace {

constexpr int kFirstLog2 = 6;  // 64 us
constexpr uint32_t kHalveAfter = 4096;

}  // namespace

size_t LatencyHistogram::StepOf(int64_t us) noexcept {
  const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(us, 0));
  if (value < uint64_t{1} << kFirstLog2) return 0;
  // Four steps an octave: the two bits behind the first.
  const int log2 = std::bit_width(value) - 1;
  const size_t step = static_cast<size_t>(log2 - kFirstLog2) * 4 + ((value >> (log2 - 2)) & 3);
  return std::min(step, kSteps - 1);
}

int64_t LatencyHistogram::UpperUs(size_t step) noexcept {
  const int log2 = kFirstLog2 + static_cast<int>(step / 4);
  return static_cast<int64_t>(5 + step % 4) << (log2 - 2);
}

void LatencyHistogram::Add(int64_t us) noexcept {
  counts_[StepOf(us)].fetch_add(1, std::memory_order_relaxed);
  if (since_halved_.fetch_add(1, std::memory_order_relaxed) != kHalveAfter) return;
  for (std::atomic<uint32_t>& step : counts_)
    step.fetch_sub(step.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
  since_halved_.store(kHalveAfter / 2, std::memory_order_relaxed);
}

uint64_t LatencyHistogram::count() const noexcept {
  uint64_t sum = 0;
  for (const std::atomic<uint32_t>& step : counts_) sum += step.load(std::memory_order_relaxed);
  return sum;
}

int64_t LatencyHistogram::Quantile(double q) const noexcept {
  const double wanted = q * static_cast<double>(count());
  uint64_t sum = 0;
  for (size_t step = 0; step < kSteps; ++step) {
    sum += counts_[step].load(std::memory_order_relaxed);
    if (sum != 0 && static_cast<double>(sum) >= wanted) return UpperUs(step);
  }
  return 0;
}

void LatencyHistogram::Reset() noexcept {
  for (std::atomic<uint32_t>& step : counts_) step.store(0, std::memory_order_relaxed);
  since_halved_.store(0, std::memory_order_relaxed);
}

}  // namespace vdb::store
