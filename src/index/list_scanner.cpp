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

constexpr uint32_t kBlocksWithoutTau = 2;

constexpr float UpperBound(const simd::Survivor& s) { return 2 * s.estimate - s.lower_bound; }

constexpr uint32_t BlocksOf(uint32_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

void PrefetchBytes(const uint8_t* from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(from + i);
}

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
  batch_.clear();
  batch_rows_ = 0;
  batch_lists_ = 1;
}

Status ListScanner::Add(uint32_t segment, uint32_t list) {
  const SegmentView& view = segments_[segment];
  const Routing& routing = *view.routing;
  const uint32_t rows = routing.lists[list].rows;
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
  lists_.push_back({segment, list, left, mask,
                    query_->Terms(routing.rows + size_t{list} * routing.dim, routing.scale[list],
                                  routing.norm_sq[list])});
  AddAgain(lists_.size() - 1);
  return {};
}

void ListScanner::AddAgain(size_t i) {
  if (lists_[i].left == 0) return;
  batch_.push_back({i, 0, 0, 0});
  batch_rows_ += EntryOf(lists_[i]).rows;
}

Status ListScanner::ScanBatch() {
  Status status = PinBlocks();
  if (status.ok()) {
    if (survivors_.size() < batch_rows_) survivors_.resize(batch_rows_);
    n_survivors_ = 0;
    tau_ = candidates_->tau();
    if (tau_ == kInfinity) best_.Reset(candidates_->k());
    for (BatchEntry& entry : batch_) ScanBlocks(&entry);
  }
  Unpin();
  if (status.ok() && n_survivors_ > 0) {
    if (layout_.bits == 1) {
      TakeFirstParts();
    } else {
      status = PinRecords();
      if (status.ok()) TakeRecords();
      Unpin();
    }
  }
  if (!status.ok()) return status;
  for (const BatchEntry& entry : batch_) {
    if (WantsRest(entry)) TakeRest(entry);
  }
  stats_->rows_scanned += batch_rows_;
  stats_->survivors += n_survivors_;
  batch_.clear();
  batch_rows_ = 0;
  batch_lists_ = std::min(batch_lists_ * 2, kBatchLists);
  return {};
}

void ListScanner::Unpin() {
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (!frames_[i].empty()) segments_[i].reader->Unpin();
    frames_[i].Clear();
  }
}

Status ListScanner::PinBlocks() {
  for (BatchEntry& batch : batch_) {
    const ScannedList& list = lists_[batch.number];
    const ListEntry& entry = EntryOf(list);
    batch.first_frame = frames_[list.segment].Want(
        entry.object, entry.a_offset, uint64_t{BlocksOf(entry.rows)} * layout_.block_bytes());
  }
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (!frames_[i].empty()) VDB_RETURN_IF_ERROR(frames_[i].Pin(segments_[i].reader));
  }
  return {};
}

void ListScanner::ScanBlocks(BatchEntry* batch) {
  const ScannedList& list = lists_[batch->number];
  const ListEntry& entry = EntryOf(list);
  const FrameSet& frames = frames_[list.segment];
  const size_t block_bytes = layout_.block_bytes();
  const uint64_t end = entry.a_offset + uint64_t{BlocksOf(entry.rows)} * block_bytes;
  batch->begin = n_survivors_;
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
    // Without any bound yet, a few blocks are enough to get one.
    if (tau_ == kInfinity) run = std::min(run, kBlocksWithoutTau);
    const uint32_t rows = std::min(run * kBlockRows, entry.rows - block * kBlockRows);
    simd::Survivor* out = survivors_.data() + n_survivors_;
    const size_t found =
        simd::ScanBlocks(query_->scan(), codes, run, rows, masks_.data() + list.mask + block,
                         list.terms.add, list.terms.error, tau_, out);
    for (size_t i = 0; block > 0 && i < found; ++i) out[i].index += block * kBlockRows;
    if (tau_ == kInfinity) {
      for (size_t i = 0; i < found; ++i) best_.Offer(UpperBound(out[i]) * upper_scale_);
      tau_ = best_.bound();
    }
    n_survivors_ += found;
    block += run;
    offset += uint64_t{run} * block_bytes;
  }
  batch->end = n_survivors_;
}

void ListScanner::TakeFirstParts() {
  for (const BatchEntry& batch : batch_) {
    for (size_t i = batch.begin; i < batch.end; ++i) {
      const simd::Survivor& s = survivors_[i];
      Take(&lists_[batch.number], s.index, s.lower_bound, UpperBound(s));
    }
  }
}

Status ListScanner::PinRecords() {
  const size_t record_bytes = layout_.ex_record_bytes();
  if (record_frames_.size() < n_survivors_) record_frames_.resize(survivors_.size());
  for (const BatchEntry& batch : batch_) {
    const ScannedList& list = lists_[batch.number];
    const ListEntry& entry = EntryOf(list);
    FrameSet& frames = frames_[list.segment];
    for (size_t i = batch.begin; i < batch.end; ++i) {
      const uint64_t offset = entry.b_offset + uint64_t{survivors_[i].index} * record_bytes;
      record_frames_[i] = frames.Want(entry.object, offset, record_bytes);
    }
  }
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (!frames_[i].empty()) VDB_RETURN_IF_ERROR(frames_[i].Pin(segments_[i].reader));
  }
  return {};
}

void ListScanner::TakeRecords() {
  float best = kInfinity;
  if (n_survivors_ >= 2 * kBestFirst) {
    best_.Reset(kBestFirst);
    for (size_t i = 0; i < n_survivors_; ++i) best_.Offer(survivors_[i].estimate);
    best = best_.bound();
  }
  FindRecords(-kInfinity, best);
  ReadRecords();
  if (best < kInfinity) {
    FindRecords(best, kInfinity);
    ReadRecords();
  }
}

// The survivors with estimates in (lowest, highest] that are still under tau.
void ListScanner::FindRecords(float lowest, float highest) {
  const size_t record_bytes = layout_.ex_record_bytes();
  const float tau = candidates_->tau();
  records_.clear();
  for (size_t b = 0; b < batch_.size(); ++b) {
    const ScannedList& list = lists_[batch_[b].number];
    const ListEntry& entry = EntryOf(list);
    const FrameSet& frames = frames_[list.segment];
    for (size_t i = batch_[b].begin; i < batch_[b].end; ++i) {
      const simd::Survivor& s = survivors_[i];
      // An estimate that is minus infinity belongs to the first call.
      const bool above = s.estimate > lowest || lowest == -kInfinity;
      if (!above || s.estimate > highest || s.lower_bound >= tau) continue;
      const uint64_t offset = entry.b_offset + uint64_t{s.index} * record_bytes;
      const uint8_t* address = frames.At(record_frames_[i], offset);
      PrefetchBytes(address, record_bytes);
      if (frames.ContiguousBytes(record_frames_[i], offset, record_bytes) < record_bytes) {
        address = nullptr;
      }
      records_.push_back({b, i, address});
    }
  }
}

void ListScanner::ReadRecords() {
  const size_t record_bytes = layout_.ex_record_bytes();
  for (const Record& record : records_) {
    const simd::Survivor& s = survivors_[record.survivor];
    if (s.lower_bound >= candidates_->tau()) continue;
    ScannedList* list = &lists_[batch_[record.entry].number];
    const uint8_t* ex = record.address;
    if (ex == nullptr) {
      const uint64_t offset = EntryOf(*list).b_offset + uint64_t{s.index} * record_bytes;
      if (scratch_.size() < record_bytes) scratch_.Reset(record_bytes);
      frames_[list->segment].Copy(record_frames_[record.survivor], offset, record_bytes,
                                  scratch_.data());
      ex = scratch_.data();
    }
    const quant::Estimate e =
        quant::ExEstimate(layout_, query_->scan(), ex, s.ip, list->terms.add, list->terms.ex_error);
    Take(list, s.index, e.value - e.error, e.value + e.error);
  }
}

void ListScanner::Take(ScannedList* list, uint32_t row, float lower_bound, float upper_bound) {
  masks_[list->mask + row / kBlockRows] |= 1u << row % kBlockRows;
  --list->left;
  const RowId id = RowId{list->segment} << 40 | (RowId{EntryOf(*list).first_slot} + row);
  candidates_->Add(id, lower_bound, upper_bound * upper_scale_);
}

// A row without a proper bound passes no comparison. When all rows are wanted, or no bound of the
// list is any good, such rows are taken as they are.
bool ListScanner::WantsRest(const BatchEntry& batch) const {
  const QueryTerms& terms = lists_[batch.number].terms;
  return lists_[batch.number].left > 0 &&
         (candidates_->tau() == kInfinity || !std::isfinite(terms.add) ||
          !std::isfinite(terms.error));
}

void ListScanner::TakeRest(const BatchEntry& batch) {
  ScannedList* list = &lists_[batch.number];
  // Survivors that were left alone because tau has shrunk have proper bounds: they wait for a later
  // round like any other.
  const uint32_t rows = EntryOf(*list).rows;
  const auto words = masks_.begin() + static_cast<ptrdiff_t>(list->mask);
  rest_.assign(words, words + BlocksOf(rows));
  for (size_t i = batch.begin; i < batch.end; ++i) {
    rest_[survivors_[i].index / kBlockRows] |= 1u << survivors_[i].index % kBlockRows;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    if ((rest_[row / kBlockRows] >> row % kBlockRows & 1) == 0) {
      Take(list, row, -kInfinity, kInfinity);
    }
  }
}

}  // namespace vdb::index
