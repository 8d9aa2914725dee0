/// RemoteObjectReader: reads objects from the store behind a server, as the index's owner.
#pragma once

#include "engine/frame_reader.h"
#include "pg/catalog/store_server.h"
#include "pg/store/object_reader.h"

namespace vdb::pg {

class RemoteObjectReader final : public ObjectReader {
 public:
  /// Opens the store. Throws.
  RemoteObjectReader(Relation index, const MetaPage& meta);

  Status ReadStored(const ObjectEntry& object, uint64_t offset, std::span<uint8_t> out) override;
  /// Adjacent frames, and those with small gaps between them, come in one request; all requests
  /// are under way at once.
  Status ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                    uint64_t* bytes_read) override;
  Result<AlignedBuffer<uint8_t>> ReadObject(const ObjectEntry& object, ObjectKeys& keys) override;

 private:
  /// What the store says, with the index and what can be done.
  Status Explain(Status&& status) const;

  Relation index_;
  const MetaPage& meta_;
  StoreHandle store_;
};

/// What this session has asked of remote stores so far.
using RemoteReads = engine::FrameReader::Reads;
const RemoteReads& GetRemoteReads();

/// The role whose rights and user mapping a remote index uses. ereports.
Oid IndexOwner(Relation index);

}  // namespace vdb::pg
