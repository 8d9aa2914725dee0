/// RemoteObjectWriter: uploads a build's objects while the next ones are encoded, and reads back
/// what is stored while the next ones are under way. Each is in the ledger before.
#pragma once

#include <vector>

#include "pg/catalog/store_server.h"
#include "pg/store/build_ledger.h"
#include "pg/store/object_writer.h"

namespace vdb::pg {

class RemoteObjectWriter final : public ObjectWriter {
 public:
  /// Opens the store and the ledger. Throws.
  RemoteObjectWriter(Relation index, const MetaPage& meta);

  void Begin(uint32_t segment, uint64_t stored_bytes) override;
  void Append(std::span<const uint8_t> stored) override;
  void Finish(ObjectEntry* object) override;
  void Flush() override;
  void Publish(const std::vector<SegmentEntry>& segments, MetaPage* meta) override;

 private:
  void ReadBackStored();
  void ReadBack(const store::ObjectRef& object);

  const MetaPage& meta_;
  StoreHandle store_;
  BuildLedger ledger_;
  std::unique_ptr<store::Uploads> uploads_;
  std::vector<uint8_t> stored_;            // of the object that was begun
  std::vector<store::ObjectRef> written_;  // not yet read back
};

}  // namespace vdb::pg
