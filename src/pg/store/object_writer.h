/// ObjectWriter: where a build's objects go: the index's own pages (local_store.h) or a remote
/// store (remote_writer.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pg/am/buffer.h"
#include "pg/am/directory.h"
#include "pg/am/meta.h"

namespace vdb::pg {

/// Writes one object after the other. Everything may throw.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual void Begin(uint32_t segment, uint64_t stored_bytes) = 0;
  /// Appends stored bytes to the object that was begun.
  virtual void Append(std::span<const uint8_t> stored) = 0;
  /// To be called every few milliseconds while objects are made: what is under way goes on.
  virtual void Progress() {}
  /// Ends the object, whose header has its id and size. Fills its extents, in stream order,
  /// neighbours merged, where it has any.
  virtual void Finish(ObjectEntry* object) = 0;
  /// `segments` will be published with `meta`: stores their manifest, where the store is one that
  /// others may look into, and notes it in `meta`. Returns when all objects are stored and have
  /// been read back. Ends the writing.
  virtual void Publish(const std::vector<SegmentEntry>& segments, MetaPage* meta) = 0;
  /// Nothing has been written, nor will be.
  virtual void Close() {}
};

/// A writer for the index that `meta` describes. mode: of the pages of a local store.
std::unique_ptr<ObjectWriter> NewObjectWriter(Relation index, const MetaPage& meta, WriteMode mode);

}  // namespace vdb::pg
