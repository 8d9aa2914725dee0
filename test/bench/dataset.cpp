#include "bench/dataset.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "base/random.h"
#include "index/smallest_k.h"
#include "simd/distance.h"

namespace vdb::bench {
namespace {

constexpr float kTie = 1e-5f;  // relative: sums of other orders differ by this
constexpr double kZipf = 1.05;
constexpr uint64_t kStreamSeed = 20261;

Matrix Load(const std::string& path) {
  Matrix matrix = testing::LoadNpy(path);
  if (matrix.rows() == 0) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(1);
  }
  return matrix;
}

}  // namespace

uint32_t BucketOf(uint32_t row) { return static_cast<uint32_t>(SplitMix64(row).Below(1000)); }

double Dataset::Recall(size_t query, std::span<const uint32_t> rows, size_t filter) const {
  const float tenth = truth.row(query)[filter];
  std::vector<uint32_t> distinct(rows.begin(), rows.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  size_t hits = 0;
  for (const uint32_t row : distinct) {
    if (row >= base.rows() || BucketOf(row) >= kFilterBuckets[filter]) continue;
    hits += simd::L2Sq(queries.row(query), base.row(row), base.dim) <= tenth * (1 + kTie);
  }
  return std::min(1.0, static_cast<double>(hits) / kRank);
}

Dataset LoadDataset(const std::string& prefix, bool with_truth) {
  Dataset set{Load(prefix + "-base.npy"), Load(prefix + "-queries.npy"), {}};
  if (with_truth) set.truth = Load(prefix + "-truth.npy");
  return set;
}

void SaveNpy(const std::string& path, const Matrix& matrix) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(matrix.rows()) + ", " + std::to_string(matrix.dim) + "), }";
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  const auto bytes = static_cast<uint16_t>(header.size());
  file.write("\x93NUMPY\x01\x00", 8);
  file.write(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  file << header;
  file.write(reinterpret_cast<const char*>(matrix.values.data()),
             static_cast<std::streamsize>(matrix.values.size() * sizeof(float)));
  if (!file.flush()) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(1);
  }
}

Matrix FindTruth(const Matrix& base, const Matrix& queries) {
  constexpr auto kFilters = static_cast<uint32_t>(kFilterBuckets.size());
  constexpr size_t kQueryBatch = 16;  // shares each read of the base
  Matrix truth{kFilters, std::vector<float>(queries.rows() * kFilters)};
  std::vector<uint32_t> bucket(base.rows());
  for (uint32_t row = 0; row < base.rows(); ++row) bucket[row] = BucketOf(row);

  const auto work = [&](size_t first) {
    std::vector<index::SmallestK> nearest(kQueryBatch * kFilters);
    for (size_t q = first; q < queries.rows(); q += 2 * kQueryBatch) {
      const size_t n = std::min(kQueryBatch, queries.rows() - q);
      for (index::SmallestK& k : nearest) k.Reset(kRank);
      std::vector<float> last(n * kFilters, 0);
      for (uint32_t row = 0; row < base.rows(); ++row) {
        for (size_t i = 0; i < n; ++i) {
          const float d = simd::L2Sq(queries.row(q + i), base.row(row), base.dim);
          for (uint32_t f = 0; f < kFilters && bucket[row] < kFilterBuckets[f]; ++f) {
            nearest[i * kFilters + f].Offer(d);
            last[i * kFilters + f] = std::max(last[i * kFilters + f], d);
          }
        }
      }
      for (size_t i = 0; i < n * kFilters; ++i) {
        truth.values[q * kFilters + i] = std::min(nearest[i].bound(), last[i]);
      }
    }
  };
  std::thread other(work, kQueryBatch);
  work(0);
  other.join();
  return truth;
}

std::vector<uint32_t> ZipfStream(size_t below, size_t n) {
  std::vector<double> sums(below);
  double sum = 0;
  for (size_t i = 0; i < below; ++i) {
    sums[i] = sum += std::pow(static_cast<double>(i + 1), -kZipf);
  }
  SplitMix64 random(kStreamSeed);
  std::vector<uint32_t> stream(n);
  for (uint32_t& number : stream) {
    const auto found = std::upper_bound(sums.begin(), sums.end() - 1, random.Unit() * sum);
    number = static_cast<uint32_t>(found - sums.begin());
  }
  return stream;
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Spread SpreadOf(std::vector<double>* samples) {
  std::sort(samples->begin(), samples->end());
  const auto n = static_cast<double>(samples->size());
  const auto at = [&](double share) { return (*samples)[static_cast<size_t>(share * (n - 1))]; };
  return {std::accumulate(samples->begin(), samples->end(), 0.0) / n, at(.5), at(.99)};
}

}  // namespace vdb::bench
