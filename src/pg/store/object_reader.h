/// ObjectReader: where the stored bytes of one segment's objects come from: the index's own pages
/// (local_store.h) or a remote store (remote_reader.h).
///
/// Everything here may throw ErrorPending.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/aligned.h"
#include "base/status.h"
#include "crypto/object_cipher.h"
#include "pg/am/directory.h"
#include "pg/am/meta.h"

namespace vdb::pg {

/// The key of an object. Asked only when bytes have to be read: a search whose frames are all
/// cached needs no key.
class ObjectKeys {
 public:
  virtual ~ObjectKeys() = default;
  /// Errors: the master key is missing or wrong.
  virtual Result<crypto::ObjectCipher> CipherFor(const ObjectHeader& object) = 0;
};

/// A frame to read, and where its plaintext goes: at most kFrameBytes.
struct FrameRead {
  const ObjectEntry* object;
  uint32_t frame;
  uint8_t* target;
};

class ObjectReader {
 public:
  virtual ~ObjectReader() = default;

  /// Copies stored bytes [offset, offset + out.size()) of the object.
  /// Errors: kCorruption (XX002), naming index, object and frame, with a HINT: the bytes are not
  /// there; kUnavailable and others of a remote store.
  virtual Status ReadStored(const ObjectEntry& object, uint64_t offset, std::span<uint8_t> out) = 0;

  /// Reads frames of any objects of the segment, in whatever order is best, and opens them. Adds
  /// the stored bytes read to *bytes_read.
  /// Errors: as ReadStored and ObjectKeys; kCorruption when a frame does not open.
  virtual Status ReadFrames(std::span<const FrameRead> frames, ObjectKeys& keys,
                            uint64_t* bytes_read) = 0;

  /// The whole plaintext. Errors: as ReadFrames.
  virtual Result<AlignedBuffer<uint8_t>> ReadObject(const ObjectEntry& object,
                                                    ObjectKeys& keys) = 0;
};

/// A reader of a segment of the index that `meta` describes. For a remote store it looks at the
/// rights of the index's owner and opens the store, which may fail.
std::unique_ptr<ObjectReader> NewObjectReader(Relation index, const MetaPage& meta,
                                              uint32_t segment);

/// How long a search of the index may wait for another session that is reading what it wants, in
/// ms, as FrameLoader::PatienceMs.
int PatienceFor(const MetaPage& meta);
/// The same error, with the index's name, when it came of that.
Status NameIndexOfWait(Relation index, Status status);

/// What messages call an object: the first 16 hexadecimal digits of its id.
std::string ShortId(const ObjectEntry& object);

/// kCorruption: a frame could not be read, and why.
Status DamagedFrame(Relation index, const ObjectEntry& object, uint64_t frame, std::string detail);

/// kCorruption: a frame that was read does not open.
Status UnauthenticFrame(Relation index, const ObjectEntry& object, uint64_t frame);

}  // namespace vdb::pg
