/// The local store: an object's stored bytes are one stream over the payloads of kObject pages of
/// the index's own relation, in the order of its extents.
///
/// Everything here may throw ErrorPending.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/status.h"
#include "pg/am/buffer.h"
#include "pg/store/object_reader.h"
#include "pg/store/object_writer.h"

namespace vdb::pg {

/// Writes one object after the other at the end of the relation.
class LocalObjectWriter final : public ObjectWriter {
 public:
  /// kBuild: pages are only dirtied, through a ring of buffers; the build logs the whole relation
  /// at its end. kLogged: full images in generic WAL, four pages a record.
  /// The ring lives in the current memory context, which must outlive the writer.
  LocalObjectWriter(Relation index, WriteMode mode);
  LocalObjectWriter(const LocalObjectWriter&) = delete;
  LocalObjectWriter& operator=(const LocalObjectWriter&) = delete;

  void Begin(uint32_t segment, uint64_t stored_bytes) override;
  void Append(std::span<const uint8_t> stored) override;
  void Finish(ObjectEntry* object) override;
  void Publish(const std::vector<SegmentEntry>&, MetaPage*) override {}

 private:
  void WritePages(bool all);

  Relation index_;
  WriteMode mode_;
  BufferAccessStrategy ring_;
  uint32_t segment_ = 0;
  std::vector<uint8_t> pending_;  // less than a record's worth of payload
  std::vector<Extent> extents_;
};

/// Reads objects of one segment from the relation's pages.
class LocalObjectReader final : public ObjectReader {
 public:
  LocalObjectReader(Relation index, uint32_t segment);

  // kCorruption also: the relation is truncated, or a page is not of this object's kind and
  // segment.
  Status ReadStored(const ObjectEntry& object, uint64_t offset, std::span<uint8_t> out) override;
  Status ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                    uint64_t* bytes_read) override;
  Result<AlignedBuffer<uint8_t>> ReadObject(const ObjectEntry& object, ObjectKeys& keys) override;

 private:
  Status ReadFrame(const ObjectEntry& object, const crypto::ObjectCipher& cipher, uint32_t frame,
                   uint8_t* out);
  /// Tells the operating system that a frame will be read.
  void Prefetch(const ObjectEntry& object, uint32_t frame);

  Relation index_;
  uint32_t segment_;
  BufferAccessStrategy ring_ = nullptr;
  BlockNumber blocks_ = 0;  // of the relation, when last looked
  AlignedBuffer<uint8_t> sealed_;
};

}  // namespace vdb::pg
