#include "pg/store/object_reader.h"

#include "base/hex.h"
#include "base/strcat.h"
#include "pg/catalog/store_server.h"
#include "pg/store/local_store.h"
#include "pg/store/remote_reader.h"

namespace vdb::pg {

std::unique_ptr<ObjectReader> NewObjectReader(Relation index, const MetaPage& meta,
                                              uint32_t segment) {
  if (IsLocal(meta)) {
    return std::make_unique<LocalObjectReader>(index, segment);
  }
  return std::make_unique<RemoteObjectReader>(index, meta);
}

int PatienceFor(const MetaPage& meta) { return IsLocal(meta) ? -1 : RequestTimeoutMs(); }

Status NameIndexOfWait(Relation index, Status status) {
  // The store's own errors have been explained.
  if (status.code() != Code::kUnavailable || !status.hint().empty()) return status;
  return Status(status.code(),
                StrCat("index \"", RelationGetRelationName(index), "\": ", status.message()))
      .WithHint("vdb.request_timeout says how long a search waits.");
}

std::string ShortId(const ObjectEntry& object) { return Hex(std::span(object.header.id, 8)); }

Status DamagedFrame(Relation index, const ObjectEntry& object, uint64_t frame, std::string detail) {
  return Corruption(StrCat("could not read frame ", frame, " of object ", ShortId(object),
                           " of index \"", RelationGetRelationName(index), "\""))
      .WithDetail(std::move(detail))
      .WithHint("REINDEX the index.");
}

Status UnauthenticFrame(Relation index, const ObjectEntry& object, uint64_t frame) {
  return DamagedFrame(index, object, frame,
                      "Its bytes are not what was written there, or the key is another.");
}

}  // namespace vdb::pg
