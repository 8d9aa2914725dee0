/// Candidates: the rows a search has taken out of lists and delta, and tau, which says how far the
/// search looks now.
///
/// Every taken row has a value: its upper bound until its exact distance is known. tau is the k-th
/// smallest value, so at least k rows are within it. A rejected row keeps its value: it only says
/// how far k rows reach, and a round's tau never grows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "index/searcher.h"
#include "index/smallest_k.h"

namespace vdb::index {

struct Candidate {
  RowId row;
  float lower_bound, upper_bound;  // never NaN
};

class Candidates {
 public:
  /// Forgets everything. k > 0: of the first round.
  void Begin(size_t k) {
    k_ = k;
    smallest_.Reset(k);
    settled_.clear();
    waiting_.clear();
    ready_.clear();
  }

  size_t k() const { return k_; }
  float tau() const { return smallest_.bound(); }
  /// Rows taken so far.
  size_t size() const { return settled_.size() + waiting_.size() + ready_.size(); }

  /// Bounds that are no numbers stand for: may be anywhere.
  void Add(RowId row, float lower_bound, float upper_bound) {
    if (!(lower_bound == lower_bound)) lower_bound = -std::numeric_limits<float>::infinity();
    if (!(upper_bound == upper_bound)) upper_bound = std::numeric_limits<float>::infinity();
    AddCounted(row, lower_bound, upper_bound);
    smallest_.Offer(upper_bound);
  }
  /// Adds a row whose upper bound counts already in this round. Bounds are not NaN.
  void AddCounted(RowId row, float lower_bound, float upper_bound) {
    waiting_.push_back({row, lower_bound, upper_bound});
  }
  /// Counts an upper bound of a row that has not been taken.
  void Offer(float upper_bound) { smallest_.Offer(upper_bound); }
  /// The value that a row keeps which has been popped: its exact distance, or its upper bound.
  void Settle(float value) { settled_.push_back(value); }

  /// Starts a round with another k. Pre: no candidate is ready.
  void BeginRound(size_t k) {
    k_ = k;
    smallest_.Reset(k);
    for (float value : settled_) smallest_.Offer(value);
    for (const Candidate& candidate : waiting_) smallest_.Offer(candidate.upper_bound);
  }

  /// Makes the candidates within tau ready, nearest lower bound first.
  void Prepare() {
    const float limit = tau();
    size_t kept = 0;
    for (const Candidate& candidate : waiting_) {
      if (candidate.lower_bound <= limit) {
        ready_.push_back(candidate);
      } else {
        waiting_[kept++] = candidate;
      }
    }
    waiting_.resize(kept);
    std::sort(ready_.begin(), ready_.end(), [](const Candidate& a, const Candidate& b) {
      return a.lower_bound != b.lower_bound ? a.lower_bound > b.lower_bound : a.row > b.row;
    });
  }
  const Candidate* NextReady() const { return ready_.empty() ? nullptr : &ready_.back(); }
  void PopReady() { ready_.pop_back(); }
  /// All that are ready, the next one at the back.
  const std::vector<Candidate>& ready() const { return ready_; }

 private:
  size_t k_ = 1;
  SmallestK smallest_;
  std::vector<float> settled_;  // values of rows that are not candidates any more
  std::vector<Candidate> waiting_;
  std::vector<Candidate> ready_;  // next at the back
};

}  // namespace vdb::index
