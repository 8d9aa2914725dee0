/// MemoryIndex: a whole index in the memory of one process, built from a matrix of floats and
/// searched with exact distances from that matrix. For tests and measurements; it goes through the
/// same training, codes and Searcher as an index on disk, and lays its objects out alike.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "index/routing.h"
#include "index/searcher.h"
#include "index/space.h"

namespace vdb::engine {

struct MemoryIndexOptions {
  Metric metric = Metric::kL2;
  uint32_t code_bits = 5;
  uint32_t lists = 0;  // 0: index::AutomaticLists
  uint64_t seed = 1;
  float recall_target = 0.95f;
  uint32_t calibration_queries = 1000;  // 0: the default theta
  uint32_t lists_per_object = 1024;
};

class MemoryIndex {
 public:
  struct Hit {
    uint32_t row;  // of the matrix
    double distance;
  };

  /// vectors (n, dim), which must outlive the index. Zero vectors are left out under cosine.
  /// Errors: kInvalidArgument (no vectors, dim out of range).
  static Result<MemoryIndex> Build(std::span<const float> vectors, uint32_t dim,
                                   const MemoryIndexOptions& options);
  MemoryIndex(MemoryIndex&&) noexcept;
  MemoryIndex& operator=(MemoryIndex&&) noexcept;
  ~MemoryIndex();

  const index::Space& space() const;
  quant::CodeLayout layout() const;
  const index::Routing& routing() const;
  /// Reads all frames of an object from one piece of memory.
  index::SegmentView view() const;
  /// Searches with another theta from now on.
  void set_theta(float theta);

  /// Plaintext of an object: region A of its lists, then region B.
  std::span<const uint8_t> object(uint32_t i) const;
  uint32_t n_objects() const;

  /// The matrix row of a row of the only segment.
  uint32_t MatrixRow(index::RowId row) const;
  /// As SQL shows it.
  double Distance(const float* query, uint32_t matrix_row) const;
  /// Prefetches the vectors that the searcher will ask for next.
  void ReadAhead(const index::Searcher& searcher) const;
  /// A row that DeadRows reports from now on.
  void MarkDead(uint32_t matrix_row);

  /// The k nearest rows. `searcher` is one for this index's space and layout.
  Status Search(index::Searcher* searcher, const float* query, size_t k,
                const index::SearchOptions& options, std::vector<Hit>* hits) const;

 private:
  struct Impl;
  explicit MemoryIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vdb::engine
