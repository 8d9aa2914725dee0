#include "pg/store/remote_writer.h"

#include <algorithm>

#include "crypto/hash.h"
#include "pg/am/build_rules.h"
#include "pg/am/index_manifest.h"
#include "pg/am/index_store.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"
#include "pg/store/remote_reader.h"

namespace vdb::pg {
namespace {

// Objects under way, besides the one being made.
constexpr size_t kMaxInFlight = 16;

store::UploadOptions OptionsOf(const StoreHandle& store) {
  store::UploadOptions options;
  options.max_in_flight = kMaxInFlight;
  options.max_bytes = MaxUploadBytes(maintenance_work_mem);
  options.object_timeout_ms = RequestTimeoutMs();
  // What is published must be there: an answer to an upload alone is no proof.
  options.digest = [](std::span<const uint8_t> bytes) { return crypto::Blake3(bytes); };
  options.max_range_bytes = store.max_range_bytes;
  return options;
}

}  // namespace

RemoteObjectWriter::RemoteObjectWriter(Relation index, const MetaPage& meta)
    : index_(index), meta_(meta), ledger_(index, meta, *Open().store) {}

StoreHandle RemoteObjectWriter::Open() const {
  return OpenStore(
      meta_.server, IndexOwner(index_),
      Call([&] { return SuperuserPlaces(index_); }) ? Usage::kGiven : Usage::kRequired);
}

void RemoteObjectWriter::Begin(uint32_t, uint64_t stored_bytes) {
  if (uploads_ == nullptr) {
    // Only now: the table may have been read for hours, and the token replaced.
    store_ = Open();
    uploads_ = store_.store->NewUploads(OptionsOf(store_));
  }
  stored_.clear();
  stored_.reserve(stored_bytes);
}

void RemoteObjectWriter::Append(std::span<const uint8_t> stored) {
  stored_.insert(stored_.end(), stored.begin(), stored.end());
  ThrowIfError(uploads_->Progress());
}

void RemoteObjectWriter::Progress() {
  if (uploads_ != nullptr) ThrowIfError(uploads_->Progress());
}

void RemoteObjectWriter::Finish(ObjectEntry* object) {
  object->extents.clear();
  Upload(RemoteObject(meta_, object->header), std::move(stored_));
  stored_ = {};
}

void RemoteObjectWriter::Upload(store::ObjectRef ref, std::vector<uint8_t> bytes) {
  ledger_.Add(ref);
  ThrowIfError(uploads_->Add(std::move(ref), std::move(bytes)));
}

void RemoteObjectWriter::Publish(const std::vector<SegmentEntry>& segments, MetaPage* meta) {
  // After everything that it names, so that what a reader finds in it is there.
  ThrowIfError(uploads_->Sent());
  const std::string text = ManifestText(*meta, segments);
  std::vector<uint8_t> bytes(text.begin(), text.end());
  const crypto::Hash id = crypto::Blake3(bytes);
  std::copy(id.begin(), id.end(), meta->manifest.id);
  meta->manifest.bytes = bytes.size();
  Upload(RemoteManifest(*meta, meta->manifest, store_.store->capabilities().json_names),
         std::move(bytes));
  ThrowIfError(uploads_->Finish());
  Close();
}

void RemoteObjectWriter::Close() { ledger_.Close(); }

}  // namespace vdb::pg
