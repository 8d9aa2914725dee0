#include "pg/store/remote_writer.h"

#include <algorithm>

#include "crypto/hash.h"
#include "pg/am/index_manifest.h"
#include "pg/am/index_store.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"
#include "pg/store/remote_reader.h"

namespace vdb::pg {
namespace {

// Objects under way, besides the one being made: a build holds so many more chunks in memory.
constexpr size_t kMaxInFlight = 2;
// What is read back at once.
constexpr size_t kReadBackBytes = 8 << 20;

/// A sink that only waits for all.
class AllOf final : public store::RangeSink {
 public:
  Status Done(size_t) override { return {}; }
};

}  // namespace

RemoteObjectWriter::RemoteObjectWriter(Relation index, const MetaPage& meta)
    : meta_(meta),
      store_(OpenStore(
          meta.server, IndexOwner(index),
          Call([&] { return SuperuserPlaces(index); }) ? Usage::kGiven : Usage::kRequired)),
      ledger_(index, meta, *store_.store),
      uploads_(store_.store->NewUploads(
          {.max_in_flight = kMaxInFlight, .object_timeout_ms = RequestTimeoutMs()})) {}

void RemoteObjectWriter::Begin(uint32_t, uint64_t stored_bytes) {
  stored_.clear();
  stored_.reserve(stored_bytes);
}

void RemoteObjectWriter::Append(std::span<const uint8_t> stored) {
  stored_.insert(stored_.end(), stored.begin(), stored.end());
  ThrowIfError(uploads_->Progress());
}

void RemoteObjectWriter::Finish(ObjectEntry* object) {
  object->extents.clear();
  store::ObjectRef ref = RemoteObject(meta_, object->header);
  ledger_.Add(ref);
  written_.push_back(ref);
  ThrowIfError(uploads_->Add(std::move(ref), std::move(stored_)));
  stored_ = {};
}

void RemoteObjectWriter::Flush() {
  ThrowIfError(uploads_->Finish());
  for (const store::ObjectRef& object : written_) ReadBack(object);
  written_.clear();
}

void RemoteObjectWriter::Publish(const std::vector<SegmentEntry>& segments, MetaPage* meta) {
  // After everything that it names, so that what a reader finds in it is there.
  const std::string text = ManifestText(*meta, segments);
  std::vector<uint8_t> bytes(text.begin(), text.end());
  const crypto::Hash id = crypto::Blake3(bytes);
  std::copy(id.begin(), id.end(), meta->manifest.id);
  meta->manifest.bytes = bytes.size();
  store::ObjectRef ref =
      RemoteManifest(*meta, meta->manifest, store_.store->capabilities().json_names);
  ledger_.Add(ref);
  written_.push_back(ref);
  ThrowIfError(uploads_->Add(std::move(ref), std::move(bytes)));
  Flush();
  ledger_.Close();
}

/// What is published must be there: an answer to an upload alone is no proof.
void RemoteObjectWriter::ReadBack(const store::ObjectRef& object) {
  std::vector<uint8_t> bytes;
  std::vector<store::RangeRequest> requests;
  crypto::Hasher hasher;
  AllOf sink;
  for (uint64_t offset = 0; offset < object.size; offset += bytes.size()) {
    bytes.resize(std::min<uint64_t>(kReadBackBytes, object.size - offset));
    requests.clear();
    for (uint64_t at = 0; at < bytes.size(); at += store_.max_range_bytes) {
      const uint64_t n = std::min<uint64_t>(store_.max_range_bytes, bytes.size() - at);
      requests.push_back({&object, offset + at, std::span(bytes).subspan(at, n)});
    }
    ThrowIfError(
        store_.store->GetRanges(requests, sink, store::Deadline::After(RequestTimeoutMs())));
    hasher.Update(bytes);
  }
  if (hasher.Finish() != object.digest) {
    ThrowIfError(store::StoreError(Code::kCorruption, store_.store->name(), store::Describe(object),
                                   "what was read back is not what was written"));
  }
}

}  // namespace vdb::pg
