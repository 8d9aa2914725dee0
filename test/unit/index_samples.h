// Vectors and readers for tests and benchmarks of the index.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "engine/memory_index.h"
#include "index/searcher.h"

namespace vdb::testing {

struct Matrix {
  uint32_t dim = 0;
  std::vector<float> values;

  size_t rows() const { return dim == 0 ? 0 : values.size() / dim; }
  const float* row(size_t i) const { return values.data() + i * dim; }
};

// NumPy format 1.0, C order, '<f2' or '<f4'. Empty when the file is missing or something else.
inline Matrix LoadNpy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char start[10];
  Matrix out;
  if (!file.read(start, sizeof start) || std::memcmp(start, "\x93NUMPY\x01", 7) != 0) return out;
  uint16_t header_bytes;
  std::memcpy(&header_bytes, start + 8, sizeof header_bytes);
  std::string header(header_bytes, '\0');
  file.read(header.data(), header_bytes);
  const bool half = header.find("'<f2'") != std::string::npos;
  unsigned long rows = 0, dim = 0;
  const size_t shape = header.find("'shape': (");
  if ((!half && header.find("'<f4'") == std::string::npos) || shape == std::string::npos ||
      std::sscanf(header.c_str() + shape, "'shape': (%lu, %lu)", &rows, &dim) != 2) {
    return out;
  }
  out.dim = static_cast<uint32_t>(dim);
  out.values.resize(rows * dim);
  if (!half) {
    file.read(reinterpret_cast<char*>(out.values.data()),
              static_cast<std::streamsize>(out.values.size() * sizeof(float)));
    return out;
  }
  std::vector<Half> halves(rows * dim);
  file.read(reinterpret_cast<char*>(halves.data()),
            static_cast<std::streamsize>(halves.size() * sizeof(Half)));
  for (size_t i = 0; i < halves.size(); ++i) out.values[i] = HalfToFloat(halves[i]);
  return out;
}

inline float Gaussian(SplitMix64* random) {
  const double u = 1 - random->Unit();
  return static_cast<float>(std::sqrt(-2 * std::log(u)) *
                            std::cos(2 * 3.14159265358979 * random->Unit()));
}

// Rows about `clusters` centres: centres of deviation 1, rows .5 about them, all moved by `shift`.
inline Matrix Clustered(size_t rows, uint32_t dim, size_t clusters, uint64_t seed,
                        float shift = 0) {
  SplitMix64 random(seed);
  std::vector<float> centres(clusters * dim);
  for (float& x : centres) x = Gaussian(&random);
  Matrix out{dim, std::vector<float>(rows * dim)};
  for (size_t i = 0; i < rows; ++i) {
    const size_t centre = random.Below(clusters);
    for (uint32_t j = 0; j < dim; ++j) {
      out.values[i * dim + j] = shift + centres[centre * dim + j] + .5f * Gaussian(&random);
    }
  }
  return out;
}

// The k nearest rows that `keep` accepts, by the index's own distance.
template <class Keep>
std::vector<engine::MemoryIndex::Hit> BruteForce(const engine::MemoryIndex& index,
                                                 const Matrix& base, const float* query, size_t k,
                                                 const Keep& keep) {
  std::vector<engine::MemoryIndex::Hit> all;
  for (uint32_t i = 0; i < base.rows(); ++i) {
    if (keep(i)) all.push_back({i, index.Distance(query, i)});
  }
  k = std::min(k, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(k), all.end(),
                    [](const auto& a, const auto& b) {
                      // As SQL sorts: what is no number comes last.
                      return std::isnan(b.distance) ? !std::isnan(a.distance)
                                                    : a.distance < b.distance;
                    });
  all.resize(k);
  return all;
}

// How many of `found` are as near as the last of `truth`: a recall that ties do not disturb.
inline double RecallOf(const std::vector<engine::MemoryIndex::Hit>& found,
                       const std::vector<engine::MemoryIndex::Hit>& truth) {
  if (truth.empty()) return 1;
  const double limit = truth.back().distance + 1e-6 * std::fabs(truth.back().distance);
  double hits = 0;
  for (const auto& hit : found) hits += hit.distance <= limit;
  return std::min(1.0, hits / static_cast<double>(truth.size()));
}

// Serves an index's frames each from memory of its own, so that none are neighbours, and fails on
// demand.
class ScatteredReader : public index::SegmentReader {
 public:
  explicit ScatteredReader(const engine::MemoryIndex& index) : inner_(index.view().reader) {
    objects_.resize(index.n_objects());
    for (uint32_t o = 0; o < index.n_objects(); ++o) {
      const auto bytes = index.object(o);
      for (size_t at = 0; at < bytes.size(); at += index::kFrameBytes) {
        const size_t n = std::min<size_t>(index::kFrameBytes, bytes.size() - at);
        objects_[o].emplace_back(n);
        std::memcpy(objects_[o].back().data(), bytes.data() + at, n);
      }
    }
  }

  Status Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) override {
    ++pin_calls;
    if (fail_pin == pin_calls) return {Code::kUnavailable, "store is away"};
    for (size_t i = 0; i < frames.size(); ++i) {
      addresses[i] = objects_.at(frames[i].object).at(frames[i].frame).data();
    }
    pinned += frames.size();
    return {};
  }
  void Unpin() noexcept override { pinned = 0; }
  Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) override {
    ++dead_calls;
    if (fail_dead == dead_calls) return Status(Code::kCorruption, "bitmap is damaged");
    return inner_->DeadRows(list, mask);
  }

  size_t pin_calls = 0, dead_calls = 0, fail_pin = 0, fail_dead = 0, pinned = 0;

 private:
  index::SegmentReader* inner_;
  std::vector<std::vector<AlignedBuffer<uint8_t>>> objects_;
};

struct Emitted {
  index::RowId row;
  double distance;
};

// Runs a search that has begun until `limit` rows are out. exact(row) gives a row's distance, or
// nothing for one to reject.
template <class Exact>
Status Drain(index::Searcher* searcher, size_t limit, const Exact& exact,
             std::vector<Emitted>* out) {
  using Step = index::Searcher::Step;
  while (out->size() < limit) {
    Step step;
    index::RowId row;
    double distance;
    VDB_RETURN_IF_ERROR(searcher->Next(&step, &row, &distance));
    if (step == Step::kDone) break;
    if (step == Step::kRow) {
      out->push_back({row, distance});
    } else if (const std::optional<double> value = exact(row)) {
      searcher->SetExact(*value);
    } else {
      searcher->Reject();
    }
  }
  return {};
}

}  // namespace vdb::testing
