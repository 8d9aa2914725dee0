#include "index/list_scanner.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/prefetch.h"
#include "simd/list_keys.h"

namespace vdb::index {
namespace {

constexpr uint32_t kBlockRows = quant::kBlockVectors;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of a batch's survivors about kBestFirst go first, when there are many.
constexpr size_t kBestFirst = 12;
constexpr size_t kManyRecords = 48;

constexpr size_t kEstimateGroups = 32;
constexpr size_t kRecordGroup = quant::ExEstimator::kMaxInputs;
// Of a list's blocks so much is asked for while the list before it is scanned: from there on the
// scan sees to it.
constexpr size_t kPrefetchedBlockBytes = 2048;
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
  if (status.ok()) ScanLists();
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
    if (status.ok()) TakeAllRecords();
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
  // One more than can be wanted: each survivor is written, wanted or not, which spares a branch
  // that nobody can foretell.
  if (records_.size() < read_.n_survivors + 1) records_.resize(read_.n_survivors + 1);
  size_t n = 0;
  for (const BatchEntry& batch : read_.entries) {
    const ScannedList& list = lists_[batch.number];
    const ListEntry& entry = list.entry;
    FrameSet& frames = frames_[list.segment];
    uint32_t frame = 0;
    uint64_t begin = 0, end = 0;  // of the frames that are wanted from `frame` on
    for (size_t i = batch.begin; i < batch.end; ++i) {
      const simd::Survivor& s = read_.survivors[i];
      const bool wanted = s.lower_bound < tau;
      const uint64_t offset = entry.b_offset + s.index * record_bytes;
      if (wanted & ((offset >= begin + kFrameBytes) | (offset + record_bytes > end))) {
        frame = frames.Want(entry.object, offset, record_bytes);
        begin = offset / kFrameBytes * kFrameBytes;
        end = (offset + record_bytes + kFrameBytes - 1) / kFrameBytes * kFrameBytes;
      }
      records_[n] = {s.lower_bound,
                     s.estimate,
                     s.ip,
                     s.index,
                     batch.number,
                     frame,
                     static_cast<uint32_t>(offset),
                     nullptr};
      n += wanted;
    }
  }
  n_records_ = n;
}

// Between any two lists come records that were asked for before the first of them.
void ListScanner::ScanLists() {
  if (scan_.survivors.size() < scan_.rows) scan_.survivors.resize(scan_.rows);
  tau_ = candidates_->tau();
  if (tau_ == kInfinity) upper_bounds_.Reset(candidates_->k());
  const size_t lists = scan_.entries.size();
  size_t taken = 0, asked = MoveBestFirst();
  const bool best_first = asked > 0;
  PrefetchRecords(0, asked);
  for (size_t i = 0; i < lists; ++i) {
    if (!best_first || i > 0) {
      const size_t begin = asked;
      asked += (n_records_ - asked) / (lists - i);
      PrefetchRecords(begin, asked);
    }
    if (i + 1 < lists) PrefetchBlocks(scan_.entries[i + 1]);
    ScanBlocks(&scan_.entries[i]);
    TakeRecords(taken, asked);
    taken = asked;
    if (best_first && i == 0) KeepRecordsUnderTau(taken);
    tau_ = std::min(tau_, candidates_->tau());
  }
  PrefetchRecords(taken, n_records_);
  TakeRecords(taken, n_records_);
}

void ListScanner::TakeAllRecords() {
  const size_t best = MoveBestFirst();
  PrefetchRecords(0, best);
  TakeRecords(0, best);
  if (best > 0) KeepRecordsUnderTau(best);
  PrefetchRecords(best, n_records_);
  TakeRecords(best, n_records_);
}

void ListScanner::PrefetchBlocks(const BatchEntry& batch) const {
  const ScannedList& list = lists_[batch.number];
  Prefetch(frames_[list.segment].At(batch.first_frame, list.entry.a_offset), kPrefetchedBlockBytes);
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
  const FrameSet* frames = nullptr;
  uint32_t list = UINT32_MAX;
  for (size_t i = begin; i < end; ++i) {
    Record& record = records_[i];
    if (record.list != list) {
      list = record.list;
      frames = &frames_[lists_[list].segment];
    }
    record.address = frames->At(record.frame, record.offset);
    // What lies behind the frame's end may be prefetched without harm.
    Prefetch(record.address, record_bytes);
  }
}

// Those with the best estimates make tau small, and then most of the others need not be looked at.
// Moves about kBestFirst of them to the front, a few more rather than fewer, and returns how many;
// 0 when there are too few records to choose from. The minima of small groups give the value that
// separates them without sorting.
size_t ListScanner::MoveBestFirst() {
  if (n_records_ < kManyRecords) return 0;
  alignas(kCacheLine) float minima[kEstimateGroups];
  alignas(kCacheLine) uint32_t ranks[kEstimateGroups];
  std::fill_n(minima, kEstimateGroups, kInfinity);
  for (size_t i = 0; i < n_records_; ++i) {
    float& minimum = minima[i % kEstimateGroups];
    minimum = std::min(minimum, records_[i].estimate);
  }
  simd::RankKeys(minima, kEstimateGroups, ranks);
  float best = kInfinity;
  for (size_t i = 0; i < kEstimateGroups; ++i) best = ranks[i] == kBestFirst - 1 ? minima[i] : best;
  if (sorted_.size() < n_records_) sorted_.resize(n_records_);
  size_t first = 0, behind = n_records_ - 1;
  for (size_t i = 0; i < n_records_; ++i) {
    const bool is_best = !(records_[i].estimate > best);
    sorted_[is_best ? first : behind] = records_[i];
    first += is_best;
    behind -= !is_best;
  }
  std::swap(records_, sorted_);
  return first;
}

void ListScanner::KeepRecordsUnderTau(size_t begin) {
  const float tau = candidates_->tau();
  size_t n = begin;
  for (size_t i = begin; i < n_records_; ++i) {
    const bool wanted = records_[i].lower_bound < tau;
    records_[n] = records_[i];
    n += wanted;
  }
  n_records_ = n;
}

void ListScanner::TakeRecords(size_t begin, size_t end) {
  const size_t record_bytes = layout_.ex_record_bytes();
  while (begin < end) {
    const float tau = candidates_->tau();
    const Record* records[kRecordGroup] = {};
    size_t n = 0;
    for (; begin < end && n < kRecordGroup; ++begin) {
      records[n] = &records_[begin];
      n += records_[begin].lower_bound < tau;
    }
    quant::ExEstimator::Input inputs[kRecordGroup];
    quant::Estimate estimates[kRecordGroup] = {};
    for (size_t i = 0; i < n; ++i) {
      const Record& record = *records[i];
      const ScannedList& list = lists_[record.list];
      inputs[i] = {record.address, record.ip, list.terms.add, list.terms.ex_error};
      if (record.offset % kFrameBytes + record_bytes > kFrameBytes) {
        const size_t bytes = kRecordGroup * record_bytes;
        if (scratch_.size() < bytes) scratch_.Reset(bytes);
        uint8_t* copy = scratch_.data() + i * record_bytes;
        frames_[list.segment].Copy(record.frame, record.offset, record_bytes, copy);
        inputs[i].record = copy;
      }
    }
    query_->ex_estimator()(inputs, n, estimates);
    for (size_t i = 0; i < n; ++i) {
      const quant::Estimate& e = estimates[i];
      Take(&lists_[records[i]->list], records[i]->row, e.value - e.error, e.value + e.error);
    }
  }
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
