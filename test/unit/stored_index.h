// An index whose objects are in a store, searched from there: what src/pg does with its pages and
// its cache, without either.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/strcat.h"
#include "engine/frame_reader.h"
#include "format_samples.h"
#include "index_samples.h"
#include "store_fixtures.h"

namespace vdb::testing {

// Regions A, B and C of each object, sealed under a key of its own.
class StoredIndex {
 public:
  static constexpr uint32_t kListsPerObject = 12;

  StoredIndex(Matrix base, const std::string& prefix) : base_(std::move(base)) {
    engine::MemoryIndexOptions options;
    options.lists_per_object = kListsPerObject;
    index_ = std::make_unique<engine::MemoryIndex>(
        std::move(engine::MemoryIndex::Build(base_.values, base_.dim, options)).value());
    const std::span<const index::ListEntry> lists(index_->routing().lists,
                                                  index_->routing().n_lists);
    const crypto::SecretKey data_key =
        crypto::DeriveKey("vdb_ext test data key", store::RandomBytes(1, 32));
    for (uint32_t o = 0; o < index_->n_objects(); ++o) {
      const size_t last = std::min<size_t>((o + 1) * kListsPerObject, lists.size());
      Object object;
      object.first_slot = lists[o * kListsPerObject].first_slot;
      object.b_offset = lists[o * kListsPerObject].b_offset;
      store::Bytes plain(index_->object(o).begin(), index_->object(o).end());
      object.c_offset = plain.size();
      for (size_t list = o * kListsPerObject; list < last; ++list) {
        plain.resize(VectorOffset(object, lists[list].first_slot));
        for (uint32_t i = 0; i < lists[list].rows; ++i) {
          const uint32_t row = index_->MatrixRow(lists[list].first_slot + i);
          const auto* const bytes = reinterpret_cast<const uint8_t*>(base_.row(row));
          plain.insert(plain.end(), bytes, bytes + vector_bytes());
        }
      }
      auto cipher = crypto::ObjectCipher::Encrypted(data_key, crypto::RandomObjectNonce().value());
      object.sealed = format::SealObject(cipher, plain);
      const store::ObjectRef ref = store::RefOf(StrCat(prefix, '/', o, ".bin"), object.sealed);
      stored_.push_back({ref, plain.size(), std::move(cipher)});
      objects_.push_back(std::move(object));
    }
  }

  const engine::MemoryIndex& index() const { return *index_; }
  const Matrix& base() const { return base_; }
  const engine::StoredObject& object(uint32_t o) const { return stored_[o]; }
  const store::Bytes& sealed(uint32_t o) const { return objects_[o].sealed; }
  // Where regions B and C of an object begin in its plaintext.
  uint64_t b_offset(uint32_t o) const { return objects_[o].b_offset; }
  uint64_t c_offset(uint32_t o) const { return objects_[o].c_offset; }
  size_t vector_bytes() const { return base_.dim * sizeof(float); }

  // As a build does it: several at a time, each read back.
  Status Upload(store::ObjectStore& store) const {
    const auto uploads = store.NewUploads({.digest = &crypto::Blake3});
    for (size_t o = 0; o < objects_.size(); ++o) {
      VDB_RETURN_IF_ERROR(uploads->Add(stored_[o].ref, objects_[o].sealed));
    }
    return uploads->Finish();
  }

  // The object of a row and where its vector begins in the plaintext.
  std::pair<uint32_t, uint64_t> PlaceOf(index::RowId row) const {
    uint32_t o = static_cast<uint32_t>(objects_.size()) - 1;
    while (objects_[o].first_slot > row) --o;
    return {o, VectorOffset(objects_[o], row)};
  }

 private:
  struct Object {
    uint32_t first_slot;
    uint64_t b_offset, c_offset;
    store::Bytes sealed;
  };
  uint64_t VectorOffset(const Object& object, uint64_t slot) const {
    return object.c_offset + (slot - object.first_slot) * vector_bytes();
  }

  Matrix base_;
  std::unique_ptr<engine::MemoryIndex> index_;
  std::deque<engine::StoredObject> stored_;
  std::vector<Object> objects_;
};

// Frames that have been read stay, for as long as the reader does.
class StoreSegmentReader : public index::SegmentReader {
 public:
  StoreSegmentReader(const StoredIndex& index, store::ObjectStore* store, int timeout_ms)
      : index_(index),
        reader_(store, {4 << 20, 64, timeout_ms}, [](const engine::StoredFrame& frame) {
          return Corruption(StrCat("frame ", frame.frame, " of ", frame.object->ref.name,
                                   " is not what was written there"));
        }) {}

  Status Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) override {
    VDB_RETURN_IF_ERROR(Fetch(frames, ahead_));
    for (size_t i = 0; i < frames.size(); ++i) {
      addresses[i] = frames_.at({frames[i].object, frames[i].frame}).data();
    }
    return {};
  }
  void Follow(size_t, index::FramesAhead* ahead) override { ahead_ = ahead; }
  void Unpin() noexcept override {}
  Result<bool> DeadRows(uint32_t, std::span<uint32_t>) override { return false; }

  // A row's vector, from region C.
  Result<std::vector<float>> Vector(index::RowId row) {
    const auto [object, offset] = index_.PlaceOf(row);
    const size_t bytes = index_.vector_bytes();
    const format::FrameRange range = format::FramesOf(offset, bytes);
    std::vector<index::FrameRef> frames;
    for (uint64_t i = 0; i < range.count; ++i) {
      frames.push_back({object, static_cast<uint32_t>(range.first + i)});
    }
    VDB_RETURN_IF_ERROR(Fetch(frames, nullptr));
    std::vector<float> vector(bytes / sizeof(float));
    for (size_t done = 0; done < bytes;) {
      const uint64_t at = offset + done;
      const auto frame = static_cast<uint32_t>(at / format::kFrameBytes);
      const size_t part =
          std::min<size_t>(bytes - done, format::kFrameBytes - at % format::kFrameBytes);
      std::memcpy(reinterpret_cast<uint8_t*>(vector.data()) + done,
                  frames_.at({object, frame}).data() + at % format::kFrameBytes, part);
      done += part;
    }
    return vector;
  }

  const engine::FrameReader::Reads& reads() const { return reads_; }

 private:
  using Frame = std::pair<uint32_t, uint32_t>;

  Status Fetch(std::span<const index::FrameRef> frames, index::FramesAhead* ahead) {
    std::map<Frame, AlignedBuffer<uint8_t>> missing;
    const auto want = [&](const index::FrameRef& frame) {
      const Frame key(frame.object, frame.frame);
      if (!frames_.contains(key)) missing.try_emplace(key, format::kFrameBytes);
    };
    std::for_each(frames.begin(), frames.end(), want);
    if (missing.empty()) return {};
    if (ahead != nullptr) {
      std::vector<index::FrameRef> more;
      ahead->FramesOf(0, &more);
      std::for_each(more.begin(), more.end(), want);
    }
    std::vector<engine::StoredFrame> wanted;
    for (auto& [key, frame] : missing) {
      wanted.push_back({&index_.object(key.first), key.second, frame.data()});
    }
    VDB_RETURN_IF_ERROR(reader_.Read(wanted, &reads_));
    frames_.merge(missing);
    return {};
  }

  const StoredIndex& index_;
  engine::FrameReader reader_;
  index::FramesAhead* ahead_ = nullptr;
  std::map<Frame, AlignedBuffer<uint8_t>> frames_;
  engine::FrameReader::Reads reads_;
};

// The ten nearest rows and their distances, with nothing cached before and exact distances from
// region C.
using Found = std::vector<std::pair<uint32_t, double>>;
inline Result<Found> ColdSearch(const StoredIndex& stored, store::ObjectStore& store,
                                const float* query, int timeout_ms = 10'000) {
  const engine::MemoryIndex& index = stored.index();
  StoreSegmentReader reader(stored, &store, timeout_ms);
  const index::SegmentView view{&index.routing(), &reader};
  index::Searcher searcher(index.space(), index.layout());
  searcher.Begin({&view, 1}, query, {});
  Found found;
  while (found.size() < 10) {
    index::Searcher::Step step;
    index::RowId row;
    double distance;
    VDB_RETURN_IF_ERROR(searcher.Next(&step, &row, &distance));
    if (step == index::Searcher::Step::kDone) break;
    if (step == index::Searcher::Step::kRow) {
      found.emplace_back(index.MatrixRow(row), distance);
      continue;
    }
    VDB_ASSIGN_OR_RETURN(const std::vector<float> vector, reader.Vector(row));
    double sum = 0;
    for (uint32_t i = 0; i < stored.base().dim; ++i) {
      sum += double{query[i] - vector[i]} * double{query[i] - vector[i]};
    }
    searcher.SetExact(std::sqrt(sum));
  }
  return found;
}

}  // namespace vdb::testing
