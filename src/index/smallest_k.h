/// SmallestK: the k-th smallest of a stream of floats.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace vdb::index {

class SmallestK {
 public:
  /// Starts over. Pre: k > 0.
  void Reset(size_t k) {
    k_ = k;
    values_.clear();
    bound_ = std::numeric_limits<float>::infinity();
  }

  /// NaN is ignored.
  void Offer(float value) {
    if (value < bound_) Insert(value);
  }

  /// The k-th smallest so far; infinity while there are fewer than k.
  float bound() const { return bound_; }

 private:
  // Up to here shifting a sorted array is quicker than a heap.
  static constexpr size_t kSortedLimit = 32;

  void Insert(float value) {
    if (k_ <= kSortedLimit) {
      if (values_.size() < k_) values_.push_back(value);
      size_t i = values_.size() - 1;
      for (; i > 0 && values_[i - 1] > value; --i) values_[i] = values_[i - 1];
      values_[i] = value;
      if (values_.size() == k_) bound_ = values_.back();
      return;
    }
    if (values_.size() == k_) {
      std::pop_heap(values_.begin(), values_.end());
      values_.back() = value;
    } else {
      values_.push_back(value);
    }
    std::push_heap(values_.begin(), values_.end());
    if (values_.size() == k_) bound_ = values_.front();
  }

  size_t k_ = 1;
  std::vector<float> values_;  // ascending, or a max-heap above kSortedLimit
  float bound_ = std::numeric_limits<float>::infinity();
};

}  // namespace vdb::index
