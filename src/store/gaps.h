/// Gaps: which of the gaps between wanted pieces of objects are read along with them.
///
/// Small ones always are, because a request costs more than their bytes. Larger ones are where
/// there would be more requests than can be under way at once: then the last of them would wait for
/// an answer to another, a round trip, and that costs more than some bytes. The smallest go first,
/// and no more of them than it takes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vdb::store {

class Gaps {
 public:
  /// gaps: between each piece and the next, where that is of the same object. always, largest: the
  /// largest gaps that are read in any case, and at all. most: requests.
  Gaps(size_t pieces, std::span<const uint32_t> gaps, uint32_t always, uint32_t largest,
       size_t most)
      : limit_(always), always_(always) {
    size_t requests = pieces;
    std::vector<uint32_t> larger;
    for (const uint32_t gap : gaps) {
      requests -= gap <= always;
      if (gap > always && gap <= largest) larger.push_back(gap);
    }
    const size_t wanted = std::min(requests - std::min(requests, most), larger.size());
    if (wanted == 0) return;
    std::sort(larger.begin(), larger.end());
    limit_ = larger[wanted - 1];
    at_limit_ =
        wanted - static_cast<size_t>(std::lower_bound(larger.begin(), larger.end(), limit_) -
                                     larger.begin());
  }

  /// Whether this gap is read. To be asked once for each.
  bool Reads(uint32_t gap) {
    if (gap <= always_ || gap < limit_) return true;
    if (gap > limit_ || at_limit_ == 0) return false;
    --at_limit_;
    return true;
  }

 private:
  uint32_t limit_, always_;
  size_t at_limit_ = 0;  // so many as large as the limit are read
};

}  // namespace vdb::store
