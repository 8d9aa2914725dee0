/// A set of the benchmark: vectors, held-out queries and, for each query, how far its tenth nearest
/// row is. Files PREFIX-base.npy, PREFIX-queries.npy (float32) and PREFIX-truth.npy.
///
/// Units: squared L2. Recall counts rows that are as near as the exact tenth, so that ties and
/// duplicates do not matter.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "unit/index_samples.h"

namespace vdb::bench {

using testing::Matrix;

inline constexpr size_t kRank = 10;

/// Rows are put into 1000 buckets by a hash of their number; filter f keeps the buckets below
/// kFilterBuckets[f].
inline constexpr std::array<uint32_t, 4> kFilterBuckets = {1000, 100, 10, 1};
uint32_t BucketOf(uint32_t row);

struct Dataset {
  Matrix base, queries;
  Matrix truth;  // (queries, filters): the tenth distance, or the last where fewer rows are kept

  /// The share of the exact ten nearest of filter f that is among `rows`.
  double Recall(size_t query, std::span<const uint32_t> rows, size_t filter = 0) const;
};

/// Exits with a message when a file is missing. with_truth: also PREFIX-truth.npy.
Dataset LoadDataset(const std::string& prefix, bool with_truth = true);

/// float32, format 1.0.
void SaveNpy(const std::string& path, const Matrix& matrix);

/// The truth of the first `n` queries, on two threads.
Matrix FindTruth(const Matrix& base, const Matrix& queries);

/// `n` numbers below `below`; number i comes as often as 1 / (i + 1)^1.05 says, as pgbench's
/// random_zipfian(1, below, 1.05). The same each time.
std::vector<uint32_t> ZipfStream(size_t below, size_t n);

double Seconds();

/// {mean, p50, p99} of samples, which are sorted.
struct Spread {
  double mean, p50, p99;
};
Spread SpreadOf(std::vector<double>* samples);

}  // namespace vdb::bench
