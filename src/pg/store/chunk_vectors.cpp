#include "pg/store/chunk_vectors.h"

#include <algorithm>
#include <cstring>

#include "base/strcat.h"

namespace vdb::pg {

ChunkVectors::ChunkVectors(Relation index, const MetaPage& meta, const SegmentEntry& segment,
                           std::span<const index::ListEntry> lists, ObjectKeys& keys)
    : index_(index),
      segment_(segment),
      lists_(lists),
      vector_bytes_(VectorBytesOf(meta)),
      frames_(index, meta, segment, keys) {}

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
  std::vector<index::FrameRef> frames;
  std::vector<size_t> first;  // frame of each slot
  for (const uint32_t slot : slots) {
    VDB_ASSIGN_OR_RETURN(const Place place, PlaceOf(slot));
    places.push_back(place);
    first.push_back(frames.size());
    const auto last = static_cast<uint32_t>((place.offset + vector_bytes_ - 1) / kFrameBytes);
    for (auto frame = static_cast<uint32_t>(place.offset / kFrameBytes); frame <= last; ++frame) {
      frames.push_back({place.chunk, frame});
    }
  }
  std::vector<const uint8_t*> addresses(frames.size());
  PinSet pins;
  VDB_RETURN_IF_ERROR(frames_.Pin(frames, &pins, addresses.data()));
  for (size_t i = 0; i < slots.size(); ++i) {
    uint64_t offset = places[i].offset;
    size_t left = vector_bytes_;
    for (size_t frame = first[i]; left > 0; ++frame) {
      const size_t in_frame = offset % kFrameBytes;
      const size_t part = std::min<size_t>(left, kFrameBytes - in_frame);
      std::memcpy(out, addresses[frame] + in_frame, part);
      out += part;
      offset += part;
      left -= part;
    }
  }
  return {};
}

}  // namespace vdb::pg
