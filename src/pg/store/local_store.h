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
#include "crypto/object_cipher.h"
#include "pg/am/buffer.h"
#include "pg/am/directory.h"

namespace vdb::pg {

/// Writes one object after the other at the end of the relation.
class LocalObjectWriter {
 public:
  /// kBuild: pages are only dirtied, through a ring of buffers; the build logs the whole relation
  /// at its end. kLogged: full images in generic WAL, four pages a record.
  /// The ring lives in the current memory context, which must outlive the writer.
  LocalObjectWriter(Relation index, WriteMode mode);
  LocalObjectWriter(const LocalObjectWriter&) = delete;
  LocalObjectWriter& operator=(const LocalObjectWriter&) = delete;

  void Begin(uint32_t segment);
  /// Appends stored bytes to the object that was begun.
  void Append(std::span<const uint8_t> stored);
  /// Ends the object: its extents in stream order, neighbours merged.
  std::vector<Extent> Finish();

 private:
  void WritePages(bool all);

  Relation index_;
  WriteMode mode_;
  BufferAccessStrategy ring_;
  uint32_t segment_ = 0;
  std::vector<uint8_t> pending_;  // less than a record's worth of payload
  std::vector<Extent> extents_;
};

/// The key of an object. Asked only when bytes have to be read: a search whose frames are all
/// cached needs no key.
class ObjectKeys {
 public:
  virtual ~ObjectKeys() = default;
  /// Errors: the master key is missing or wrong.
  virtual Result<crypto::ObjectCipher> CipherFor(const ObjectHeader& object) = 0;
};

/// What messages call an object: the first 16 hexadecimal digits of its id.
std::string ShortId(const ObjectEntry& object);

/// kCorruption: a frame that was read does not open.
Status UnauthenticFrame(Relation index, const ObjectEntry& object, uint64_t frame);

/// Reads and opens frames of objects of one segment.
class LocalObjectReader {
 public:
  LocalObjectReader(Relation index, uint32_t segment);

  /// Copies stored bytes [offset, offset + out.size()) of the object.
  /// Errors: kCorruption (XX002), naming index, object and frame, with a HINT: the relation is
  /// truncated, or a page is not of this object's kind and segment.
  Status ReadStored(const ObjectEntry& object, uint64_t offset, std::span<uint8_t> out);

  /// Reads frame `frame` and opens it to `out` (its plaintext bytes, at most kFrameBytes).
  /// Errors: as ReadStored; kCorruption when it does not open.
  Status ReadFrame(const ObjectEntry& object, const crypto::ObjectCipher& cipher, uint32_t frame,
                   uint8_t* out);

  /// Tells the operating system that a frame will be read.
  void Prefetch(const ObjectEntry& object, uint32_t frame);

  /// The whole plaintext. Errors: as ReadFrame and ObjectKeys.
  Result<AlignedBuffer<uint8_t>> ReadObject(const ObjectEntry& object, ObjectKeys& keys);

 private:
  Relation index_;
  uint32_t segment_;
  BufferAccessStrategy ring_ = nullptr;
  BlockNumber blocks_ = 0;  // of the relation, when last looked
  AlignedBuffer<uint8_t> sealed_;
};

}  // namespace vdb::pg
