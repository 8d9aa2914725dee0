#include "pg/store/object_writer.h"

#include "pg/store/local_store.h"
#include "pg/store/remote_writer.h"

namespace vdb::pg {

std::unique_ptr<ObjectWriter> NewObjectWriter(Relation index, const MetaPage& meta,
                                              WriteMode mode) {
  if (IsLocal(meta)) {
    return std::make_unique<LocalObjectWriter>(index, mode);
  }
  return std::make_unique<RemoteObjectWriter>(index, meta);
}

}  // namespace vdb::pg
