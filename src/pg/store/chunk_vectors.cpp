#include "pg/store/chunk_vectors.h"

#include <algorithm>
#include <cstring>

#include "base/strcat.h"
#include "format/shape.h"
#include "pg/guard.h"
#include "quant/code_layout.h"

namespace vdb::pg {

/// Reads the missing frames of one Read call; frames_ are its requests.
class ChunkVectors::Loader final : public FrameLoader {
 public:
  Loader(ChunkVectors& owner, std::span<const uint32_t> chunks,
         std::span<const FrameRequest> requests)
      : owner_(owner), chunks_(chunks), requests_(requests) {}

  Status Prepare(uint32_t request) override {
    if (owner_.objects_ == nullptr) {
      owner_.objects_ =
          NewObjectReader(owner_.index_, owner_.meta_, owner_.segment_.header.segment);
    }
    return owner_.keys_.CipherFor(ChunkOf(request).header).TakeStatus();
  }

  Status Load(std::span<const FrameRequest>, std::span<const FrameFill> fills,
              uint64_t* bytes_read) override {
    std::vector<FrameRead> reads;
    reads.reserve(fills.size());
    for (const FrameFill& fill : fills) {
      reads.push_back({&ChunkOf(fill.request), requests_[fill.request].frame, fill.target});
    }
    return owner_.objects_->ReadFrames(reads, owner_.keys_, bytes_read);
  }

 private:
  const ObjectEntry& ChunkOf(uint32_t request) const {
    return owner_.segment_.chunks[chunks_[request]];
  }

  ChunkVectors& owner_;
  std::span<const uint32_t> chunks_;  // of each request
  std::span<const FrameRequest> requests_;
};

ChunkVectors::ChunkVectors(Relation index, const MetaPage& meta, const SegmentEntry& segment,
                           std::span<const index::ListEntry> lists, ObjectKeys& keys)
    : index_(index),
      meta_(meta),
      segment_(segment),
      lists_(lists),
      keys_(keys),
      vector_bytes_(format::VectorBytes({static_cast<Metric>(meta.metric),
                                         static_cast<ElementType>(meta.element), meta.dim,
                                         quant::PaddedDim(meta.dim), meta.code_bits})) {}

Result<ChunkVectors::Place> ChunkVectors::PlaceOf(uint32_t slot) const {
  const auto after = std::upper_bound(
      lists_.begin(), lists_.end(), slot,
      [](uint32_t s, const index::ListEntry& list) { return s < list.first_slot; });
  if (after == lists_.begin() || slot - std::prev(after)->first_slot >= std::prev(after)->rows) {
    return Corruption(
        StrCat("slot ", slot, " of index \"", RelationGetRelationName(index_), "\" has no row"));
  }
  const auto list = static_cast<size_t>(std::prev(after) - lists_.begin());
  const ObjectHeader& chunk = segment_.chunks[lists_[list].object].header;
  uint64_t row = slot - lists_[list].first_slot;
  // Slots are padded in each list, vectors are not.
  for (size_t i = chunk.first_list; i < list; ++i) row += lists_[i].rows;
  return Place{lists_[list].object, chunk.c_offset + row * vector_bytes_};
}

Status ChunkVectors::Read(std::span<const uint32_t> slots, uint8_t* out) {
  std::vector<Place> places;
  std::vector<uint32_t> chunks;
  std::vector<FrameRequest> requests;
  std::vector<size_t> first;  // request of each slot
  for (const uint32_t slot : slots) {
    VDB_ASSIGN_OR_RETURN(const Place place, PlaceOf(slot));
    const ObjectHeader& chunk = segment_.chunks[place.chunk].header;
    places.push_back(place);
    first.push_back(requests.size());
    const auto last = static_cast<uint32_t>((place.offset + vector_bytes_ - 1) / kFrameBytes);
    for (auto frame = static_cast<uint32_t>(place.offset / kFrameBytes); frame <= last; ++frame) {
      requests.push_back({ObjectKey::Of(chunk.id), frame, FrameKind::kVectors});
      chunks.push_back(place.chunk);
    }
  }
  std::vector<const uint8_t*> addresses(requests.size());
  PinSet pins;
  Loader loader(*this, chunks, requests);
  VDB_RETURN_IF_ERROR(FrameCache::Get().Pin(requests, loader, &pins, addresses.data()));
  for (size_t i = 0; i < slots.size(); ++i) {
    uint64_t offset = places[i].offset;
    size_t left = vector_bytes_;
    for (size_t request = first[i]; left > 0; ++request) {
      const size_t in_frame = offset % kFrameBytes;
      const size_t part = std::min<size_t>(left, kFrameBytes - in_frame);
      std::memcpy(out, addresses[request] + in_frame, part);
      out += part;
      offset += part;
      left -= part;
    }
  }
  return {};
}

}  // namespace vdb::pg
