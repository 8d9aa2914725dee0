#include "index/list_scanner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/prefetch.h"

namespace vdb::index {
namespace {

constexpr uint32_t kBlockRows = quant::kBlockVectors;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of a batch's survivors about kBestFirst go first, when there are many.
constexpr size_t kBestFirst = 12;
constexpr size_t kManyRecords = 48;

constexpr size_t kEstimateGroups = 32;
// Without a tau, first parts are scanned in steps of so many blocks.
constexpr uint32_t kBlocksWithoutTau = 2;

constexpr float UpperBound(const simd::Survivor& s) { return 2 * s.estimate - s.lower_bound; }

constexpr uint32_t BlocksOf(uint32_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

}  // namespace

void ListScanner::Begin(std::span<const SegmentView> segments, const PreparedQuery* query,
                        Candidates* candidates, float upper_scale, SearchStats* stats) {
  segments_.assign(segments.begin(), segments.end());
  if (frames_.size() < segments.size()) frames_.resize(segments.size());
  query_ = query;
  candidates_ = candidates;
  stats_ = stats;
  upper_scale_ = upper_scale;
  lists_.clear();
  masks_.clear();
  // What a reader that threw has left.
  for (FrameSet& frames : frames_) frames.Clear();
  scan_.Clear();
  read_.Clear();
  batch_lists_ = 1;
}

Status ListScanner::Add(uint32_t segment, uint32_t list) {
  const SegmentView& view = segments_[segment];
  const Routing& routing = *view.routing;
  const ListEntry& entry = routing.lists[list];
  const uint32_t rows = entry.rows;
  const uint32_t words = BlocksOf(rows);
  const size_t mask = masks_.size();
  masks_.resize(mask + words, 0);
  Result<bool> some_dead = view.reader->DeadRows(list, {masks_.data() + mask, words});
  if (!some_dead.ok()) {
    masks_.resize(mask);
    return some_dead.TakeStatus();
  }
  uint32_t left = rows;
  if (*some_dead) {
    if (rows % kBlockRows != 0) masks_.back() &= (1u << rows % kBlockRows) - 1;
    for (uint32_t i = 0; i < words; ++i) left -= std::popcount(masks_[mask + i]);
  }
  ++stats_->lists;
  lists_.push_back({segment, list, left, entry, mask,
                    query_->Terms(routing.rows + size_t{list} * routing.dim, routing.scale[list],
                                  routing.norm_sq[list])});
  AddAgain(lists_.size() - 1);
  return {};
}

void ListScanner::AddAgain(size_t i) {
  if (lists_[i].left == 0) return;
  scan_.entries.push_back({static_cast<uint32_t>(i), 0, 0, 0});
  scan_.rows += lists_[i].entry.rows;
}

Status ListScanner::ScanBatch() {
  WantBlocks();
  WantRecords();
  Status status = Pin();
  const bool without_tau = candidates_->tau() == kInfinity;
  if (status.ok()) {
    if (scan_.survivors.size() < scan_.rows) scan_.survivors.resize(scan_.rows);
    tau_ = candidates_->tau();
    if (without_tau) upper_bounds_.Reset(candidates_->k());
    const size_t lists = scan_.entries.size();
    for (size_t i = 0; i < lists; ++i) {
      PrefetchRecords(records_.size() * i / lists, records_.size() * (i + 1) / lists);
      ScanBlocks(&scan_.entries[i]);
    }
    TakeRecords(true);
  }
  Unpin();
  if (!status.ok()) return status;

  FinishRead();
  stats_->rows_scanned += scan_.rows;
  stats_->survivors += scan_.n_survivors;
  std::swap(scan_, read_);
  batch_lists_ = std::min(batch_lists_ * 2, kBatchLists);
  // Without a tau everything in the next batch would survive.
  return without_tau || layout_.bits == 1 ? Finish() : Status();
}

Status ListScanner::Finish() {
  if (layout_.bits == 1) {
    TakeFirstParts();
  } else if (read_.n_survivors > 0) {
    WantRecords();
    Status status = Pin();
    if (status.ok()) TakeRecords(false);
    Unpin();
    if (!status.ok()) return status;
  }
  FinishRead();
  return {};
}

// A row without a proper bound passes no comparison. When all rows are wanted, or no bound of the
// list is any good, such rows are taken as they are.
void ListScanner::FinishRead() {
  for (const BatchEntry& entry : read_.entries) {
    const ScannedList& list = lists_[entry.number];
    const bool bounded = std::isfinite(list.terms.add) && std::isfinite(list.terms.error);
    if (list.left > 0 && (candidates_->tau() == kInfinity || !bounded)) TakeRest(entry);
  }
  read_.Clear();
}

Status ListScanner::Pin() {
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (!frames_[i].empty()) VDB_RETURN_IF_ERROR(frames_[i].Pin(segments_[i].reader));
  }
  return {};
}

void ListScanner::Unpin() {
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (!frames_[i].empty()) segments_[i].reader->Unpin();
    frames_[i].Clear();
  }
}

void ListScanner::WantBlocks() {
  for (BatchEntry& batch : scan_.entries) {
    const ScannedList& list = lists_[batch.number];
    const ListEntry& entry = list.entry;
    batch.first_frame = frames_[list.segment].Want(
        entry.object, entry.a_offset, uint64_t{BlocksOf(entry.rows)} * layout_.block_bytes());
  }
}

// Only for survivors that are still under tau.
void ListScanner::WantRecords() {
  const size_t record_bytes = layout_.ex_record_bytes();
  const float tau = candidates_->tau();
  records_.resize(read_.n_survivors);
  size_t n = 0;
  for (const BatchEntry& batch : read_.entries) {
    const ScannedList& list = lists_[batch.number];
    const ListEntry& entry = list.entry;
    FrameSet& frames = frames_[list.segment];
    uint32_t frame = 0;
    uint64_t begin = 0, end = 0;  // of the frames that are wanted from `frame` on
    for (size_t i = batch.begin; i < batch.end; ++i) {
      const simd::Survivor& s = read_.survivors[i];
      if (s.lower_bound >= tau) continue;
      const uint64_t offset = entry.b_offset + uint64_t{s.index} * record_bytes;
      if (offset >= begin + kFrameBytes || offset + record_bytes > end) {
        frame = frames.Want(entry.object, offset, record_bytes);
        begin = offset / kFrameBytes * kFrameBytes;
        end = (offset + record_bytes + kFrameBytes - 1) / kFrameBytes * kFrameBytes;
      }
      records_[n++] = {s.lower_bound, s.estimate, s.ip, s.index, batch.number, frame, nullptr};
    }
  }
  records_.resize(n);
}

void ListScanner::ScanBlocks(BatchEntry* batch) {
  const ScannedList& list = lists_[batch->number];
  const ListEntry& entry = list.entry;
  const FrameSet& frames = frames_[list.segment];
  const size_t block_bytes = layout_.block_bytes();
  const uint64_t end = entry.a_offset + uint64_t{BlocksOf(entry.rows)} * block_bytes;
  const bool without_tau = candidates_->tau() == kInfinity;
  batch->begin = scan_.n_survivors;
  uint32_t block = 0;
  for (uint64_t offset = entry.a_offset; offset < end;) {
    const auto frame = batch->first_frame +
                       static_cast<uint32_t>(offset / kFrameBytes - entry.a_offset / kFrameBytes);
    auto run =
        static_cast<uint32_t>(frames.ContiguousBytes(frame, offset, end - offset) / block_bytes);
    const uint8_t* codes = frames.At(frame, offset);
    if (run == 0) {
      if (scratch_.size() < block_bytes) scratch_.Reset(block_bytes);
      frames.Copy(frame, offset, block_bytes, scratch_.data());
      codes = scratch_.data();
      run = 1;
    }
    if (without_tau) run = std::min(run, kBlocksWithoutTau);
    const uint32_t rows = std::min(run * kBlockRows, entry.rows - block * kBlockRows);
    simd::Survivor* out = scan_.survivors.data() + scan_.n_survivors;
    const size_t found =
        simd::ScanBlocks(query_->scan(), codes, run, rows, masks_.data() + list.mask + block,
                         list.terms.add, list.terms.error, tau_, out);
    for (size_t i = 0; block > 0 && i < found; ++i) out[i].index += block * kBlockRows;
    if (without_tau) {
      // The first parts' own bounds spare reading most of the first list's ex records.
      for (size_t i = 0; i < found; ++i) upper_bounds_.Offer(UpperBound(out[i]) * upper_scale_);
      tau_ = upper_bounds_.bound();
    }
    scan_.n_survivors += found;
    block += run;
    offset += uint64_t{run} * block_bytes;
  }
  batch->end = scan_.n_survivors;
}

void ListScanner::TakeFirstParts() {
  for (const BatchEntry& batch : read_.entries) {
    for (size_t i = batch.begin; i < batch.end; ++i) {
      const simd::Survivor& s = read_.survivors[i];
      Take(&lists_[batch.number], s.index, s.lower_bound, UpperBound(s));
    }
  }
}

void ListScanner::PrefetchRecords(size_t begin, size_t end) {
  const size_t record_bytes = layout_.ex_record_bytes();
  for (size_t i = begin; i < end; ++i) {
    Record& record = records_[i];
    const ScannedList& list = lists_[record.list];
    record.address = frames_[list.segment].At(
        record.frame, list.entry.b_offset + uint64_t{record.row} * record_bytes);
    // What lies behind the frame's end may be prefetched without harm.
    Prefetch(record.address, record_bytes);
  }
}

// Those with the best estimates first: they make tau small, and most of the others need not be
// looked at.
void ListScanner::TakeRecords(bool prefetched) {
  const float best = BestEstimates();
  if (best < kInfinity) {
    const auto others = std::partition(records_.begin(), records_.end(),
                                       [best](const Record& r) { return !(r.estimate > best); });
    const auto n = static_cast<size_t>(others - records_.begin());
    if (!prefetched) PrefetchRecords(0, n);
    for (size_t i = 0; i < n; ++i) TakeRecord(records_[i]);
    const float tau = candidates_->tau();
    records_.erase(records_.begin(), others);
    std::erase_if(records_, [tau](const Record& r) { return r.lower_bound >= tau; });
  }
  if (!prefetched) PrefetchRecords(0, records_.size());
  for (const Record& record : records_) TakeRecord(record);
}

// A value that about kBestFirst of the estimates do not exceed, a few more rather than fewer;
// infinity when there are too few of them to choose from. The minima of small groups give it
// without sorting.
float ListScanner::BestEstimates() {
  const size_t n = records_.size();
  if (n < kManyRecords) return kInfinity;
  const size_t groups = std::min(n, kEstimateGroups);
  minima_.assign(groups, kInfinity);
  for (size_t start = 0; start < n; start += groups) {
    const size_t count = std::min(groups, n - start);
    for (size_t i = 0; i < count; ++i) {
      minima_[i] = std::min(minima_[i], records_[start + i].estimate);
    }
  }
  std::nth_element(minima_.begin(), minima_.begin() + kBestFirst - 1, minima_.end());
  return minima_[kBestFirst - 1];
}

void ListScanner::TakeRecord(const Record& record) {
  if (record.lower_bound >= candidates_->tau()) return;
  const size_t record_bytes = layout_.ex_record_bytes();
  ScannedList* list = &lists_[record.list];
  const uint64_t offset = list->entry.b_offset + uint64_t{record.row} * record_bytes;
  const uint8_t* ex = record.address;
  if (offset % kFrameBytes + record_bytes > kFrameBytes) {
    if (scratch_.size() < record_bytes) scratch_.Reset(record_bytes);
    frames_[list->segment].Copy(record.frame, offset, record_bytes, scratch_.data());
    ex = scratch_.data();
  }
  const quant::Estimate e =
      query_->ex_estimator()(ex, record.ip, list->terms.add, list->terms.ex_error);
  Take(list, record.row, e.value - e.error, e.value + e.error);
}

void ListScanner::Take(ScannedList* list, uint32_t row, float lower_bound, float upper_bound) {
  masks_[list->mask + row / kBlockRows] |= 1u << row % kBlockRows;
  --list->left;
  const RowId id = RowId{list->segment} << 40 | (RowId{list->entry.first_slot} + row);
  candidates_->Add(id, lower_bound, upper_bound * upper_scale_);
}

void ListScanner::TakeRest(const BatchEntry& batch) {
  ScannedList* list = &lists_[batch.number];
  // Survivors that were left alone because tau has shrunk have proper bounds: they wait for a later
  // round like any other.
  const uint32_t rows = list->entry.rows;
  const auto words = masks_.begin() + static_cast<ptrdiff_t>(list->mask);
  rest_.assign(words, words + BlocksOf(rows));
  for (size_t i = batch.begin; i < batch.end; ++i) {
    const uint32_t row = read_.survivors[i].index;
    rest_[row / kBlockRows] |= 1u << row % kBlockRows;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    if ((rest_[row / kBlockRows] >> row % kBlockRows & 1) == 0) {
      Take(list, row, -kInfinity, kInfinity);
    }
  }
}

}  // namespace vdb::index
