// Kernels alone, on data that stays in the caches unless the name says DRAM. Every benchmark's last
// argument chooses the instruction set: 0 the machine's best, 1 AVX2 (or the best below it), 2 the
// fallback.
#include "simd/targets.h"

#include <hwy/highway.h>

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "quant/rabitq.h"
#include "quant/rotation.h"
#include "simd/assign.h"
#include "simd/distance.h"
#include "simd/scan.h"

namespace vdb {
namespace {

void ChooseTarget(benchmark::State& state, int64_t which) {
  int64_t targets = hwy::SupportedTargets();
#if HWY_ARCH_X86
  if (which == 1) targets &= ~int64_t{HWY_AVX3 | HWY_AVX3_DL};
#endif
  if (which == 2) targets = 0;
  hwy::GetChosenTarget().Update(targets);
  state.SetLabel(simd::TargetName());
}

AlignedBuffer<float> Numbers(size_t n, uint64_t seed) {
  SplitMix64 random(seed);
  AlignedBuffer<float> v(n);
  for (float& x : v.span()) {
    x = static_cast<float>(random.Unit() + random.Unit() + random.Unit() - 1.5);
  }
  return v;
}

struct Query {
  explicit Query(size_t dim) : values(Numbers(dim, 1)), table(dim * 4), q8(dim) {
    scan = simd::PrepareScanQuery(values.data(), dim, table.data(), q8.data());
  }
  AlignedBuffer<float> values;
  AlignedBuffer<uint8_t> table;
  AlignedBuffer<int8_t> q8;
  simd::ScanQuery scan;
};

/// Blocks of random codes, `bytes` of them in all, that tau lets through or not.
void ScanBlocks(benchmark::State& state, size_t bytes, float tau) {
  const size_t dim = static_cast<size_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  const quant::CodeLayout layout = {static_cast<uint32_t>(dim), 1};
  const size_t n_blocks = bytes / layout.block_bytes();
  AlignedBuffer<uint8_t> blocks(n_blocks * layout.block_bytes());
  SplitMix64 random(1);
  for (size_t i = 0; i + 8 <= blocks.size(); i += 8) {
    const uint64_t word = random.Next() & 0x3fff3fff3fff3fff;  // factors stay small and finite
    std::memcpy(blocks.data() + i, &word, 8);
  }
  const Query query(dim);
  std::vector<simd::Survivor> out(n_blocks * 32);
  for (auto _ : state) {
    benchmark::DoNotOptimize(simd::ScanBlocks(query.scan, blocks.data(), n_blocks, n_blocks * 32,
                                              nullptr, 0, 1, tau, out.data()));
  }
  const double done = static_cast<double>(state.iterations()) * static_cast<double>(n_blocks);
  state.counters["ns/block"] =
      benchmark::Counter(done * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["codes/s"] = benchmark::Counter(done * 32, benchmark::Counter::kIsRate);
}
void BM_ScanBlocks(benchmark::State& state) { ScanBlocks(state, 1 << 18, -1e30f); }
void BM_ScanBlocksAllSurvive(benchmark::State& state) { ScanBlocks(state, 1 << 18, 1e30f); }
void BM_ScanBlocksDram(benchmark::State& state) { ScanBlocks(state, 1 << 28, -1e30f); }
BENCHMARK(BM_ScanBlocks)->ArgsProduct({{128, 384, 512, 768, 1024, 1536}, {0, 1}})->Args({512, 2});
BENCHMARK(BM_ScanBlocksAllSurvive)->ArgsProduct({{512}, {0, 1}});
BENCHMARK(BM_ScanBlocksDram)->ArgsProduct({{512, 1536}, {0, 1}});

void BM_ScanRows(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  const quant::CodeLayout layout = {static_cast<uint32_t>(dim), 1};
  const size_t n = 2000;
  std::vector<uint8_t> rows(n * layout.first_bytes(), 0x35);
  const Query query(dim);
  std::vector<float> estimate(n), lower_bound(n);
  for (auto _ : state) {
    simd::ScanRows(query.scan, rows.data(), layout.first_bytes(), n, 1, 1, estimate.data(),
                   lower_bound.data());
    benchmark::DoNotOptimize(estimate.data());
  }
  state.counters["ns/row"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * n * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_ScanRows)->ArgsProduct({{128, 512, 1536}, {0, 1}});

void BM_PrepareScanQuery(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  Query query(dim);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        simd::PrepareScanQuery(query.values.data(), dim, query.table.data(), query.q8.data()));
  }
}
BENCHMARK(BM_PrepareScanQuery)->ArgsProduct({{128, 512, 1536}, {0, 1}});

void BM_ExEstimate(benchmark::State& state) {
  const quant::CodeLayout layout = {static_cast<uint32_t>(state.range(0)),
                                    static_cast<uint32_t>(state.range(1))};
  ChooseTarget(state, state.range(2));
  const Query query(layout.dim);
  std::vector<uint8_t> ex(layout.ex_record_bytes(), 0x35);
  for (auto _ : state) {
    benchmark::DoNotOptimize(quant::ExEstimate(layout, query.scan, ex.data(), 1, 1, 1));
  }
}
BENCHMARK(BM_ExEstimate)->ArgsProduct({{128, 512, 1536}, {5}, {0, 1}})->Args({512, 8, 0});

void BM_RankCentroids(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1));
  ChooseTarget(state, state.range(2));
  const size_t padded = (n + 15) / 16 * 16;
  const Query query(dim);
  AlignedBuffer<int8_t> rows(n * dim), interleaved(padded * dim);
  AlignedBuffer<int32_t> sums(padded), out(padded);
  simd::InterleaveCentroids(rows.data(), n, dim, interleaved.data(), sums.data());
  for (auto _ : state) {
    simd::RankCentroids(query.q8.data(), interleaved.data(), sums.data(), n, dim, out.data());
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(BM_RankCentroids)
    ->ArgsProduct({{512}, {511}, {0, 1}})
    ->ArgsProduct({{128}, {1467}, {0, 1}});

void BM_Rotation(benchmark::State& state) {
  const uint32_t dim = static_cast<uint32_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  const quant::Rotation rotation = quant::Rotation::Random(dim, 1);
  const AlignedBuffer<float> in = Numbers(dim, 2);
  AlignedBuffer<float> out(rotation.padded_dim());
  for (auto _ : state) {
    rotation.Apply(in.data(), out.data());
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(BM_Rotation)->ArgsProduct({{100, 384, 512, 1536}, {0, 1}});

void BM_Encode(benchmark::State& state) {
  const quant::CodeLayout layout = {static_cast<uint32_t>(state.range(0)),
                                    static_cast<uint32_t>(state.range(1))};
  ChooseTarget(state, state.range(2));
  const quant::Encoder encoder(layout, quant::Estimator::kL2);
  const AlignedBuffer<float> v = Numbers(layout.dim, 3), c = Numbers(layout.dim, 4);
  std::vector<uint8_t> row(layout.row_bytes());
  for (auto _ : state) {
    encoder.Encode(v.data(), c.data(), row.data());
    benchmark::DoNotOptimize(row.data());
  }
}
BENCHMARK(BM_Encode)
    ->ArgsProduct({{128, 512, 1536}, {5}, {0, 1}})
    ->Args({512, 1, 0})
    ->Args({512, 8, 0})
    ->Args({512, 5, 2});

void BM_PackBlock(benchmark::State& state) {
  const quant::CodeLayout layout = {static_cast<uint32_t>(state.range(0)), 5};
  std::vector<uint8_t> rows(32 * layout.row_bytes(), 0x35);
  AlignedBuffer<uint8_t> block(layout.block_bytes());
  for (auto _ : state) {
    quant::PackBlock(layout, rows.data(), layout.row_bytes(), 32, block.data());
    benchmark::DoNotOptimize(block.data());
  }
}
BENCHMARK(BM_PackBlock)->Arg(512);

void BM_Assign(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0)), k = static_cast<size_t>(state.range(1));
  ChooseTarget(state, state.range(2));
  const size_t n = 600;
  const AlignedBuffer<float> points = Numbers(n * dim, 5), centroids = Numbers(k * dim, 6);
  AlignedBuffer<float> panels(simd::PanelFloats(k, dim)), norms((k + 63) / 64 * 64);
  simd::PackPanels(centroids.data(), k, dim, panels.data(), norms.data());
  std::vector<uint32_t> best(n);
  for (auto _ : state) {
    simd::AssignPanels(points.data(), n, dim, panels.data(), norms.data(), k, best.data(), nullptr);
    benchmark::DoNotOptimize(best.data());
  }
  state.counters["multiply-adds/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(n * k * dim),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Assign)
    ->ArgsProduct({{128, 512}, {16, 24, 512, 1472}, {0, 1}})
    ->Args({512, 512, 2})
    ->Unit(benchmark::kMillisecond);

template <class A, class B>
void BM_L2Sq(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  const std::vector<A> a(dim, A{});
  const std::vector<B> b(dim, B{});
  for (auto _ : state) benchmark::DoNotOptimize(simd::L2Sq(a.data(), b.data(), dim));
}
BENCHMARK_TEMPLATE(BM_L2Sq, float, float)->ArgsProduct({{100, 512, 1536}, {0, 1}})->Args({512, 2});
BENCHMARK_TEMPLATE(BM_L2Sq, float, Half)->ArgsProduct({{512}, {0, 1}});

void BM_DotInt8(benchmark::State& state) {
  const size_t dim = static_cast<size_t>(state.range(0));
  ChooseTarget(state, state.range(1));
  const Query query(dim);
  for (auto _ : state) {
    benchmark::DoNotOptimize(simd::DotInt8(query.values.data(), query.q8.data(), dim));
  }
}
BENCHMARK(BM_DotInt8)->ArgsProduct({{512}, {0, 1}});

}  // namespace
}  // namespace vdb

BENCHMARK_MAIN();
