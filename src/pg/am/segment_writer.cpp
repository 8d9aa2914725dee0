#include "pg/am/segment_writer.h"

#include <algorithm>
#include <limits>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "format/geometry.h"
#include "format/routing_object.h"
#include "pg/am/build_rules.h"
#include "pg/am/chain.h"
#include "pg/am/delta.h"
#include "pg/am/tid_page.h"
#include "pg/guard.h"
#include "quant/rabitq.h"

namespace vdb::pg {

namespace {

constexpr uint64_t kNoTid = 0;

}  // namespace

SegmentWriter::SegmentWriter(Relation index, WriteMode mode, const SegmentShape& shape,
                             ObjectWriter* objects, const crypto::SecretKey* data_key,
                             const index::Centroids& centroids, index::Calibrator* calibrator,
                             InterruptPoll poll)
    : index_(index),
      mode_(mode),
      shape_(shape),
      data_key_(data_key),
      centroids_(centroids),
      calibrator_(calibrator),
      poll_(poll),
      objects_(objects),
      max_list_rows_(MaxListRows(shape.layout.row_bytes() + shape.vector_bytes)) {
  entry_.header = {};
  entry_.header.segment = shape.segment;
  // Growing step by step would leave as much again in pieces that nothing fits into; what is never
  // written to costs nothing.
  const size_t max_blocks = (max_list_rows_ + quant::kBlockVectors - 1) / quant::kBlockVectors;
  codes_.reserve(max_list_rows_ * shape.layout.row_bytes());
  blocks_.reserve(max_blocks * shape.layout.block_bytes() + kCacheLine);
  ex_records_.reserve(max_list_rows_ * shape.layout.ex_record_bytes());
  vectors_.reserve(size_t{max_list_rows_} * shape.vector_bytes);
  ThrowIfError(chunk_.Begin(ChunkHeaderFor(0)));
}

format::ChunkHeader SegmentWriter::ChunkHeaderFor(uint32_t first_list) const {
  format::ChunkHeader header = {};
  header.index = shape_.uuid;
  header.segment = shape_.segment;
  header.chunk = static_cast<uint32_t>(entry_.chunks.size());
  header.metric = shape_.metric;
  header.element = shape_.element;
  header.dim = shape_.dim;
  header.padded_dim = shape_.layout.dim;
  header.bits = shape_.layout.bits;
  header.block_bytes = static_cast<uint32_t>(shape_.layout.block_bytes());
  header.ex_record_bytes = static_cast<uint32_t>(shape_.layout.ex_record_bytes());
  header.first_list = first_list;
  header.vectors = shape_.vector_bytes > 0;
  return header;
}

void SegmentWriter::Add(uint32_t list, const SortedRow& row, const uint8_t* code) {
  if (!tids_.empty() && (list != trained_list_ || tids_.size() == max_list_rows_)) FinishList();
  trained_list_ = list;
  const uint8_t* const vector = code + shape_.layout.row_bytes();
  codes_.insert(codes_.end(), code, vector);
  vectors_.insert(vectors_.end(), vector, vector + shape_.vector_bytes);
  tids_.push_back(row.tid);
  residual_sq_ += row.residual_sq;
}

/// The calibrator of an L1 index was fed by trained list, so it has to see the empty ones too.
void SegmentWriter::SkipLists(uint32_t next) {
  if (calibrator_ == nullptr || shape_.metric != Metric::kL1) return;
  for (; next_calibrated_ < next; next_calibrated_++) {
    const index::EncodedList empty{
        centroids_.codes.data() + size_t{next_calibrated_} * centroids_.dim,
        centroids_.scale[next_calibrated_],
        0,
        0,
        nullptr,
        nullptr,
        nullptr};
    ThrowIfError(calibrator_->AddList(empty, poll_));
  }
}

void SegmentWriter::FinishList() {
  const quant::CodeLayout& layout = shape_.layout;
  const auto rows = static_cast<uint32_t>(tids_.size());
  const uint32_t n_blocks = (rows + quant::kBlockVectors - 1) / quant::kBlockVectors;
  blocks_.assign(n_blocks * layout.block_bytes() + kCacheLine, 0);
  // The calibrator scans the blocks, and the kernels want them on a cache line.
  uint8_t* blocks =
      blocks_.data() +
      (kCacheLine - reinterpret_cast<uintptr_t>(blocks_.data()) % kCacheLine) % kCacheLine;
  for (uint32_t b = 0; b < n_blocks; b++) {
    const uint32_t first = b * quant::kBlockVectors;
    quant::PackBlock(layout, codes_.data() + size_t{first} * layout.row_bytes(), layout.row_bytes(),
                     std::min(quant::kBlockVectors, rows - first),
                     blocks + size_t{b} * layout.block_bytes());
  }
  ex_records_.resize(size_t{rows} * layout.ex_record_bytes());
  for (uint32_t i = 0; i < rows && layout.bits > 1; i++) {
    std::memcpy(ex_records_.data() + size_t{i} * layout.ex_record_bytes(),
                codes_.data() + size_t{i} * layout.row_bytes() + layout.first_bytes(),
                layout.ex_record_bytes());
  }

  const int8_t* centroid = centroids_.codes.data() + size_t{trained_list_} * centroids_.dim;
  const float scale = centroids_.scale[trained_list_];
  const float radius = index::ListRadius(residual_sq_, rows);
  const bool fragment = next_calibrated_ > trained_list_;
  if (calibrator_ != nullptr && !(fragment && shape_.metric == Metric::kL1)) {
    SkipLists(trained_list_);
    const index::EncodedList list{
        centroid,    scale, radius, rows, blocks, layout.bits == 1 ? nullptr : ex_records_.data(),
        tids_.data()};
    ThrowIfError(calibrator_->AddList(list, poll_));
    next_calibrated_ = trained_list_ + 1;
  }

  if (chunk_.lists() > 0 &&
      (chunk_.rows() + rows > shape_.chunk_rows || !chunk_.Fits(rows, shape_.max_chunk_bytes))) {
    FinishChunk();
  }
  ThrowIfError(
      chunk_.AddList(rows, {blocks, n_blocks * layout.block_bytes()}, ex_records_, vectors_));
  chunk_tids_.insert(chunk_tids_.end(), tids_.begin(), tids_.end());
  chunk_tids_.resize((chunk_tids_.size() + 31) / 32 * 32, kNoTid);

  routing_centroids_.insert(routing_centroids_.end(), centroid, centroid + centroids_.dim);
  scale_.push_back(scale);
  radius_.push_back(radius);
  entry_.list_rows.push_back(rows);
  entry_.header.n_rows += rows;
  codes_.clear();
  vectors_.clear();
  tids_.clear();
  residual_sq_ = 0;
}

void SegmentWriter::WriteObject(std::span<const uint8_t> plain, ObjectEntry* object) {
  Result<crypto::ObjectNonce> nonce = crypto::RandomObjectNonce();
  ThrowIfError(nonce.status());
  const crypto::ObjectCipher cipher = shape_.encrypted
                                          ? crypto::ObjectCipher::Encrypted(*data_key_, *nonce)
                                          : crypto::ObjectCipher::Unencrypted(*nonce);
  crypto::Hasher hasher;
  std::vector<uint8_t> sealed(format::kStoredFrameBytes);
  objects_->Begin(shape_.segment, format::StoredBytes(plain.size()));
  const uint64_t frames = format::FrameCount(plain.size());
  for (uint64_t frame = 0; frame < frames; frame++) {
    const auto part =
        plain.subspan(frame * format::kFrameBytes, format::FramePlainBytes(plain.size(), frame));
    cipher.SealFrame(frame, part, sealed.data());
    const std::span<const uint8_t> stored(sealed.data(), part.size() + crypto::kTagBytes);
    hasher.Update(stored);
    objects_->Append(stored);
    Call([] { CHECK_FOR_INTERRUPTS(); });
  }
  const crypto::Hash id = hasher.Finish();
  std::memcpy(object->header.id, id.data(), sizeof(object->header.id));
  std::memcpy(object->header.nonce, nonce->data(), sizeof(object->header.nonce));
  object->header.plain_bytes = plain.size();
  objects_->Finish(object);
}

std::vector<Extent> SegmentWriter::WriteTids() {
  const auto n_slots = static_cast<uint32_t>(chunk_tids_.size());
  std::vector<Extent> extents;
  for (uint32_t page_no = 0; page_no < TidPages(n_slots); page_no++) {
    const uint32_t n_blocks = TidBlocksOnPage(n_slots, page_no);
    const uint64_t* tids = chunk_tids_.data() + size_t{page_no} * kTidSlotsPerPage;
    const BlockNumber block = Call([&] {
      return AppendPage(
          index_, MAIN_FORKNUM, mode_, PageKind::kTids, shape_.segment, [&](Page page) {
            TidBlock* blocks = TidBlocksOf(page);
            for (uint32_t i = 0; i < n_blocks * kTidBlockSlots; i++) {
              const uint64_t tid = tids[i];
              ItemPointerData& target = blocks[i / kTidBlockSlots].tids[i % kTidBlockSlots];
              if (tid == kNoTid) {
                ItemPointerSetInvalid(&target);
              } else {
                target = UnpackTid(tid);
              }
            }
            for (uint32_t b = 0; b < n_blocks; b++) blocks[b].SetDeadMask(0);
            SetPayloadUsed(page, n_blocks * sizeof(TidBlock));
          });
    });
    if (!extents.empty() && extents.back().start + extents.back().pages == block) {
      extents.back().pages++;
    } else {
      extents.push_back({block, 1});
    }
  }
  return extents;
}

void SegmentWriter::FinishChunk() {
  Result<std::span<const uint8_t>> plain = chunk_.Finish();
  ThrowIfError(plain.status());
  ObjectEntry object = {};
  WriteObject(*plain, &object);
  object.tid_extents = WriteTids();
  const format::ChunkGeometry& geometry = chunk_.geometry();
  object.header.first_list = chunk_first_list_;
  object.header.n_lists = chunk_.lists();
  object.header.first_slot = chunk_first_slot_;
  object.header.n_slots = static_cast<uint32_t>(chunk_tids_.size());
  object.header.a_offset = format::kRegionAOffset;
  object.header.b_offset = geometry.b_offset;
  object.header.c_offset = geometry.c_offset;
  chunk_lists_.push_back(chunk_.lists());
  chunk_first_list_ += chunk_.lists();
  if (object.header.n_slots > std::numeric_limits<uint32_t>::max() - chunk_first_slot_) {
    ThrowIfError(Status(Code::kUnsupported, "a vdb index cannot hold more than 2^32 rows")
                     .WithHint("Partition the table."));
  }
  chunk_first_slot_ += object.header.n_slots;
  chunk_tids_.clear();
  entry_.chunks.push_back(std::move(object));
  ThrowIfError(chunk_.Begin(ChunkHeaderFor(chunk_first_list_)));
}

SegmentEntry SegmentWriter::Finish() {
  if (!tids_.empty()) FinishList();
  if (chunk_.lists() > 0) FinishChunk();
  SkipLists(centroids_.n);
  if (calibrator_ != nullptr) calibration_ = calibrator_->Finish(shape_.recall_target);

  format::RoutingContents contents = {};
  contents.header = {shape_.uuid, shape_.segment,    shape_.metric,     shape_.element,
                     shape_.dim,  shape_.layout.dim, shape_.layout.bits};
  contents.calibration = {calibration_.theta,         calibration_.near_ratio,
                          calibration_.l1_ratio_low,  calibration_.l1_ratio_high,
                          calibration_.recall_target, calibration_.measured_recall,
                          calibration_.mean_lists,    calibration_.p80_lists,
                          calibration_.mean_rows,     calibration_.queries};
  contents.centroids = routing_centroids_;
  contents.scale = scale_;
  contents.radius = radius_;
  contents.rows = entry_.list_rows;
  contents.chunk_lists = chunk_lists_;
  Result<std::vector<uint8_t>> plain = format::WriteRoutingObject(contents);
  if (!plain.ok()) {
    ThrowIfError(Status(plain.status().code(), StrCat("index \"", RelationGetRelationName(index_),
                                                      "\": ", plain.status().message())));
  }
  entry_.routing = {};
  WriteObject(*plain, &entry_.routing);

  entry_.header.n_lists = static_cast<uint32_t>(entry_.list_rows.size());
  entry_.header.n_slots = chunk_first_slot_;
  entry_.header.dead_pages = (entry_.header.n_lists + kDeadCountsPerPage - 1) / kDeadCountsPerPage;
  for (uint32_t i = 0; i < entry_.header.dead_pages; i++) {
    const uint32_t counts =
        std::min(kDeadCountsPerPage, entry_.header.n_lists - i * kDeadCountsPerPage);
    const BlockNumber block = Call([&] {
      return AppendPage(index_, MAIN_FORKNUM, mode_, PageKind::kListDead, shape_.segment,
                        [&](Page page) {
                          std::memset(PayloadOf(page), 0, counts * sizeof(uint32_t));
                          SetPayloadUsed(page, counts * sizeof(uint32_t));
                        });
    });
    if (i == 0) entry_.header.dead = block;
  }
  entry_.header.theta = calibration_.theta;
  entry_.header.recall_target = calibration_.recall_target;
  entry_.header.measured_recall = calibration_.measured_recall;
  entry_.header.mean_lists = calibration_.mean_lists;
  entry_.header.p80_lists = calibration_.p80_lists;
  entry_.header.mean_rows = calibration_.mean_rows;
  entry_.header.calibration_queries = calibration_.queries;
  entry_.header.reach = calibration_.reach;
  return std::move(entry_);
}

}  // namespace vdb::pg
