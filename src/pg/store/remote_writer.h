/// RemoteObjectWriter: uploads a build's objects and reads them back while the next ones are
/// encoded. Each is in the ledger before.
#pragma once

#include <vector>

#include "pg/catalog/store_server.h"
#include "pg/store/build_ledger.h"
#include "pg/store/object_writer.h"

namespace vdb::pg {

class RemoteObjectWriter final : public ObjectWriter {
 public:
  /// Opens the ledger, for which the store is asked. meta outlives it. Throws.
  RemoteObjectWriter(Relation index, const MetaPage& meta);

  void Begin(uint32_t segment, uint64_t stored_bytes) override;
  void Append(std::span<const uint8_t> stored) override;
  void Progress() override;
  void Finish(ObjectEntry* object) override;
  void Publish(const std::vector<SegmentEntry>& segments, MetaPage* meta) override;
  void Close() override;

 private:
  StoreHandle Open() const;
  void Upload(store::ObjectRef ref, std::vector<uint8_t> bytes);

  Relation index_;
  const MetaPage& meta_;
  BuildLedger ledger_;
  StoreHandle store_;
  std::unique_ptr<store::Uploads> uploads_;
  std::vector<uint8_t> stored_;  // of the object that was begun
};

}  // namespace vdb::pg
