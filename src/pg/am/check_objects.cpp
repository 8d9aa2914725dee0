#include <algorithm>
#include <cstring>
#include <optional>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "format/chunk.h"
#include "format/geometry.h"
#include "format/routing_object.h"
#include "pg/am/check.h"
#include "pg/guard.h"

namespace vdb::pg {

namespace {

/// What the directory says a chunk's header is.
format::ChunkHeader ExpectedHeader(const MetaPage& meta, const SegmentEntry& segment,
                                   uint32_t number) {
  const quant::CodeLayout layout = LayoutOf(meta);
  format::ChunkHeader header = {};
  std::memcpy(header.index.data(), meta.uuid, header.index.size());
  header.segment = segment.header.segment;
  header.chunk = number;
  header.metric = static_cast<Metric>(meta.metric);
  header.element = static_cast<ElementType>(meta.element);
  header.dim = meta.dim;
  header.padded_dim = layout.dim;
  header.bits = layout.bits;
  header.block_bytes = static_cast<uint32_t>(layout.block_bytes());
  header.ex_record_bytes = static_cast<uint32_t>(layout.ex_record_bytes());
  header.first_list = segment.chunks[number].header.first_list;
  header.vectors = meta.store_vectors != 0;
  return header;
}

bool SameCalibration(const format::RoutingCalibration& found, const SegmentHeader& header) {
  return found.theta == header.theta && found.recall_target == header.recall_target &&
         found.measured_recall == header.measured_recall && found.mean_lists == header.mean_lists &&
         found.p80_lists == header.p80_lists && found.mean_rows == header.mean_rows &&
         found.queries == header.calibration_queries;
}

// Read at once: a remote store answers few large requests quicker than many small ones.
constexpr uint64_t kReadFrames = 64;

}  // namespace

Status ObjectChecker::WrongObject(const ObjectEntry& object, const std::string& what) const {
  return DamagedIndex(index_, StrCat("object ", ShortId(object), ": ", what));
}

void ObjectChecker::Segment(const SegmentEntry& segment, CheckCounts* counts) {
  const std::unique_ptr<ObjectReader> reader =
      NewObjectReader(index_, meta_, segment.header.segment);
  const auto count = [counts](const ObjectEntry& object) {
    counts->objects++;
    counts->frames += format::FrameCount(object.header.plain_bytes);
    counts->bytes += format::StoredBytes(object.header.plain_bytes);
  };
  Routing(segment, reader.get());
  count(segment.routing);
  for (uint32_t number = 0; number < segment.chunks.size(); number++) {
    Chunk(segment, number, reader.get());
    count(segment.chunks[number]);
  }
}

/// Reads all frames, past the cache; in full, opens them to plain_ and compares the object's id.
void ObjectChecker::Read(const ObjectEntry& object, uint64_t max_plain_bytes,
                         ObjectReader* reader) {
  const uint64_t plain_bytes = object.header.plain_bytes;
  if (plain_bytes == 0 || plain_bytes > max_plain_bytes) {
    ThrowIfError(WrongObject(object, "its size cannot be"));
  }
  const uint64_t stored_bytes = format::StoredBytes(plain_bytes);
  const bool local = IsLocal(meta_);
  const uint64_t pages = local ? (stored_bytes + kPagePayload - 1) / kPagePayload : 0;
  if (PagesOf(object.extents) != pages) {
    ThrowIfError(WrongObject(object, "it has the wrong number of pages"));
  }
  std::optional<crypto::ObjectCipher> cipher;
  crypto::Hasher hasher;
  if (full_) {
    Result<crypto::ObjectCipher> made = keys_.CipherFor(object.header);
    ThrowIfError(made.status());
    cipher.emplace(std::move(made).value());
    plain_.Reset(plain_bytes);
  }
  stored_.resize(kReadFrames * format::kStoredFrameBytes);
  const uint64_t frames = format::FrameCount(plain_bytes);
  for (uint64_t first = 0; first < frames; first += kReadFrames) {
    const uint64_t offset = format::StoredFrameOffset(first);
    const std::span<uint8_t> stored(stored_.data(),
                                    std::min<uint64_t>(stored_.size(), stored_bytes - offset));
    ThrowIfError(reader->ReadStored(object, offset, stored));
    if (!full_) continue;
    hasher.Update(stored);
    for (uint64_t frame = first; frame < std::min(first + kReadFrames, frames); frame++) {
      const std::span<const uint8_t> sealed =
          stored.subspan(format::StoredFrameOffset(frame) - offset,
                         format::FramePlainBytes(plain_bytes, frame) + format::kFrameTagBytes);
      if (!cipher->TryOpenFrame(frame, sealed, plain_.data() + frame * format::kFrameBytes)) {
        ThrowIfError(UnauthenticFrame(index_, object, frame));
      }
    }
  }
  use_->Take(object.extents);
  if (!full_) return;
  const crypto::Hash id = hasher.Finish();
  if (std::memcmp(id.data(), object.header.id, id.size()) != 0) {
    ThrowIfError(WrongObject(object, "its bytes have another hash"));
  }
}

void ObjectChecker::Routing(const SegmentEntry& segment, ObjectReader* reader) {
  Read(segment.routing, format::kMaxRoutingBytes, reader);
  if (!full_) return;
  Result<format::RoutingObject> parsed = format::ParseRoutingObject(plain_.span());
  if (!parsed.ok()) ThrowIfError(WrongObject(segment.routing, parsed.status().message()));
  format::RoutingHeader expected = {};
  std::memcpy(expected.index.data(), meta_.uuid, expected.index.size());
  expected.segment = segment.header.segment;
  expected.metric = static_cast<Metric>(meta_.metric);
  expected.element = static_cast<ElementType>(meta_.element);
  expected.dim = meta_.dim;
  expected.padded_dim = quant::PaddedDim(meta_.dim);
  expected.bits = meta_.code_bits;
  const Status same = format::CheckRoutingHeader(parsed->header, expected);
  if (!same.ok()) ThrowIfError(WrongObject(segment.routing, same.message()));
  std::vector<uint32_t> chunk_lists;
  for (const ObjectEntry& chunk : segment.chunks) chunk_lists.push_back(chunk.header.n_lists);
  if (parsed->rows != segment.list_rows || parsed->chunk_lists != chunk_lists ||
      !SameCalibration(parsed->calibration, segment.header)) {
    ThrowIfError(WrongObject(segment.routing, "it and the segment directory disagree"));
  }
}

void ObjectChecker::Chunk(const SegmentEntry& segment, uint32_t number, ObjectReader* reader) {
  const ObjectEntry& chunk = segment.chunks[number];
  const ObjectHeader& header = chunk.header;
  const format::ChunkHeader expected = ExpectedHeader(meta_, segment, number);
  const std::span<const uint32_t> rows(segment.list_rows.data() + header.first_list,
                                       header.n_lists);
  const Result<format::ChunkGeometry> geometry = format::LayOutChunk(expected, rows);
  if (!geometry.ok() || header.plain_bytes != geometry.value().plain_bytes ||
      header.a_offset != format::kRegionAOffset || header.b_offset != geometry.value().b_offset ||
      header.c_offset != geometry.value().c_offset) {
    ThrowIfError(WrongObject(chunk, "it and its lists in the directory disagree"));
  }
  Read(chunk, format::kMaxChunkBytes, reader);
  if (!full_) return;
  const Result<format::ChunkView> view = format::ParseChunk(plain_.span());
  if (!view.ok()) ThrowIfError(WrongObject(chunk, view.status().message()));
  const Status same = format::CheckChunkHeader(view.value().header, expected);
  if (!same.ok()) ThrowIfError(WrongObject(chunk, same.message()));
  const auto& lists = view.value().geometry.lists;
  if (!std::equal(lists.begin(), lists.end(), rows.begin(), rows.end(),
                  [](const format::ListPlace& a, uint32_t b) { return a.rows == b; })) {
    ThrowIfError(WrongObject(chunk, "its lists have other rows than the segment directory says"));
  }
}

}  // namespace vdb::pg
