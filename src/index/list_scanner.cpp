#include "index/list_scanner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/rabitq.h"

namespace vdb::index {
namespace {

constexpr uint32_t kBlockRows = quant::kBlockVectors;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The best dozen by estimate goes first when there are at least twice as many survivors: they make
// tau small, and most of the others need not be looked at.
constexpr size_t kBestFirst = 12;
constexpr size_t kPrefetchDistance = 6;

// Unpins when a list is done, however it ends.
class PinScope {
 public:
  explicit PinScope(SegmentReader* reader) : reader_(reader) {}
  ~PinScope() { reader_->Unpin(); }
  PinScope(const PinScope&) = delete;
  PinScope& operator=(const PinScope&) = delete;

 private:
  SegmentReader* reader_;
};

}  // namespace

void ListScanner::Begin(std::span<const SegmentView> segments, const PreparedQuery* query,
                        Candidates* candidates, float upper_scale, SearchStats* stats) {
  segments_.assign(segments.begin(), segments.end());
  query_ = query;
  candidates_ = candidates;
  stats_ = stats;
  upper_scale_ = upper_scale;
  lists_.clear();
  masks_.clear();
}

Status ListScanner::Scan(uint32_t segment, uint32_t list) {
  const SegmentView& view = segments_[segment];
  const Routing& routing = *view.routing;
  const uint32_t rows = routing.lists[list].rows;
  const uint32_t words = (rows + kBlockRows - 1) / kBlockRows;
  const size_t mask = masks_.size();
  masks_.resize(mask + words, 0);

  const auto scan = [&]() -> Status {
    VDB_ASSIGN_OR_RETURN(const bool some_dead,
                         view.reader->DeadRows(list, {masks_.data() + mask, words}));
    uint32_t left = rows;
    if (some_dead) {
      if (rows % kBlockRows != 0) masks_.back() &= (1u << rows % kBlockRows) - 1;
      for (uint32_t i = 0; i < words; ++i) left -= std::popcount(masks_[mask + i]);
    }
    lists_.push_back({segment, list, left, mask,
                      query_->Terms(routing.rows + size_t{list} * routing.dim, routing.scale[list],
                                    routing.norm_sq[list])});
    return left == 0 ? Status() : Take(&lists_.back());
  };
  const size_t before = lists_.size();
  Status status = scan();
  if (status.ok()) {
    ++stats_->lists;
  } else {
    lists_.resize(before);
    masks_.resize(mask);
  }
  return status;
}

Status ListScanner::Rescan(size_t i) { return lists_[i].left == 0 ? Status() : Take(&lists_[i]); }

Status ListScanner::Take(ScannedList* list) {
  const float tau = candidates_->tau();
  VDB_RETURN_IF_ERROR(ScanFirstParts(*list));
  stats_->rows_scanned += EntryOf(*list).rows;
  stats_->survivors += n_survivors_;
  // A row without a proper bound passes no comparison. When all rows are wanted, or no bound of
  // this list is any good, such rows are taken as they are.
  const bool take_rest =
      n_survivors_ < list->left &&
      (tau == kInfinity || !std::isfinite(list->terms.add) || !std::isfinite(list->terms.error));
  if (n_survivors_ > 0) VDB_RETURN_IF_ERROR(TakeSurvivors(list));
  if (take_rest) TakeRest(list);
  return {};
}

Status ListScanner::ScanFirstParts(const ScannedList& list) {
  SegmentReader* reader = segments_[list.segment].reader;
  const ListEntry& entry = EntryOf(list);
  const size_t block_bytes = layout_.block_bytes();
  const uint32_t blocks = (entry.rows + kBlockRows - 1) / kBlockRows;
  const uint64_t end = entry.a_offset + uint64_t{blocks} * block_bytes;
  if (survivors_.size() < entry.rows) survivors_.resize(entry.rows);
  n_survivors_ = 0;

  PinScope pins(reader);
  window_.Begin(entry.object, entry.a_offset, end - 1);
  window_.Want(entry.a_offset, end - entry.a_offset);
  VDB_RETURN_IF_ERROR(window_.Pin(reader));
  uint32_t block = 0;
  for (uint64_t offset = entry.a_offset; offset < end;) {
    auto run = static_cast<uint32_t>(window_.ContiguousBytes(offset, end - offset) / block_bytes);
    const uint8_t* codes = window_.At(offset);
    if (run == 0) {
      if (scratch_.size() < block_bytes) scratch_.Reset(block_bytes);
      window_.Copy(offset, block_bytes, scratch_.data());
      codes = scratch_.data();
      run = 1;
    }
    const uint32_t rows = std::min(run * kBlockRows, entry.rows - block * kBlockRows);
    simd::Survivor* out = survivors_.data() + n_survivors_;
    const size_t found =
        simd::ScanBlocks(query_->scan(), codes, run, rows, masks_.data() + list.mask + block,
                         list.terms.add, list.terms.error, candidates_->tau(), out);
    if (block > 0) {
      for (size_t i = 0; i < found; ++i) out[i].index += block * kBlockRows;
    }
    n_survivors_ += found;
    block += run;
    offset += uint64_t{run} * block_bytes;
  }
  return {};
}

void ListScanner::Add(ScannedList* list, uint32_t row, float lower_bound, float upper_bound) {
  masks_[list->mask + row / kBlockRows] |= 1u << row % kBlockRows;
  --list->left;
  const RowId id = RowId{list->segment} << 40 | (RowId{EntryOf(*list).first_slot} + row);
  candidates_->Add(id, lower_bound, upper_bound * upper_scale_);
}

void ListScanner::TakeRest(ScannedList* list) {
  // Survivors that were left alone because tau has shrunk have proper bounds: they wait for a later
  // round like any other.
  const uint32_t rows = EntryOf(*list).rows;
  const auto words = masks_.begin() + static_cast<ptrdiff_t>(list->mask);
  rest_.assign(words, words + (rows + kBlockRows - 1) / kBlockRows);
  for (size_t i = 0; i < n_survivors_; ++i) {
    const uint32_t row = survivors_[i].index;
    rest_[row / kBlockRows] |= 1u << row % kBlockRows;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    if ((rest_[row / kBlockRows] >> row % kBlockRows & 1) == 0) {
      Add(list, row, -kInfinity, kInfinity);
    }
  }
}

Status ListScanner::TakeSurvivors(ScannedList* list) {
  const std::span<simd::Survivor> survivors(survivors_.data(), n_survivors_);
  if (layout_.bits == 1) {
    for (const simd::Survivor& s : survivors) {
      Add(list, s.index, s.lower_bound, 2 * s.estimate - s.lower_bound);
    }
    return {};
  }
  SegmentReader* reader = segments_[list->segment].reader;
  const ListEntry& entry = EntryOf(*list);
  const size_t record_bytes = layout_.ex_record_bytes();
  const auto offset_of = [&](uint32_t row) {
    return entry.b_offset + uint64_t{row} * record_bytes;
  };

  PinScope pins(reader);
  window_.Begin(entry.object, offset_of(survivors.front().index),
                offset_of(survivors.back().index + 1) - 1);
  for (simd::Survivor& s : survivors) {
    window_.Want(offset_of(s.index), record_bytes);
    // nth_element needs an order, which NaN has none of.
    if (!(s.estimate == s.estimate)) s.estimate = -kInfinity;
  }
  VDB_RETURN_IF_ERROR(window_.Pin(reader));
  if (survivors.size() >= 2 * kBestFirst) {
    std::nth_element(
        survivors.begin(), survivors.begin() + kBestFirst, survivors.end(),
        [](const simd::Survivor& a, const simd::Survivor& b) { return a.estimate < b.estimate; });
  }
  for (size_t i = 0; i < std::min(kPrefetchDistance, survivors.size()); ++i) {
    Prefetch(survivors[i], entry);
  }
  const QueryTerms& terms = list->terms;
  for (size_t i = 0; i < survivors.size(); ++i) {
    if (i + kPrefetchDistance < survivors.size() &&
        survivors[i + kPrefetchDistance].lower_bound < candidates_->tau()) {
      Prefetch(survivors[i + kPrefetchDistance], entry);
    }
    const simd::Survivor& s = survivors[i];
    if (s.lower_bound >= candidates_->tau()) continue;
    const uint64_t offset = offset_of(s.index);
    const uint8_t* record = window_.At(offset);
    if (window_.ContiguousBytes(offset, record_bytes) < record_bytes) {
      if (scratch_.size() < record_bytes) scratch_.Reset(record_bytes);
      window_.Copy(offset, record_bytes, scratch_.data());
      record = scratch_.data();
    }
    const quant::Estimate estimate =
        quant::ExEstimate(layout_, query_->scan(), record, s.ip, terms.add, terms.ex_error);
    Add(list, s.index, estimate.value - estimate.error, estimate.value + estimate.error);
  }
  return {};
}

void ListScanner::Prefetch(const simd::Survivor& survivor, const ListEntry& entry) const {
  const size_t record_bytes = layout_.ex_record_bytes();
  const uint8_t* record = window_.At(entry.b_offset + uint64_t{survivor.index} * record_bytes);
  // Beyond the frame's end this touches whatever is there, which a prefetch may.
  for (size_t i = 0; i < record_bytes + kCacheLine; i += kCacheLine) {
    __builtin_prefetch(record + i);
  }
}

}  // namespace vdb::index
