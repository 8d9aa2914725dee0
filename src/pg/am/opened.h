/// OpenedIndex: what a backend keeps of an index between statements: its space, its segments'
/// directories, its keys.
///
/// Kept by relation oid, in process memory; dropped when the relation cache says that the index
/// changed, replaced when the metapage shows another generation. A scan holds it by shared_ptr, so
/// that it outlives an invalidation that comes meanwhile.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "index/searcher.h"
#include "index/space.h"
#include "pg/am/meta.h"
#include "pg/catalog/keys.h"
#include "pg/compat.h"
#include "pg/store/segment_reader.h"

namespace vdb::pg {

/// Rotation and mean as they lie in the kParameters chain: uint64 signs[], then float mean[].
std::vector<uint8_t> SerializeParameters(const index::Space& space);

/// The index's ciphers, made when the first frame has to be read. Unwraps the data key once.
class IndexKeys final : public ObjectKeys {
 public:
  IndexKeys(Relation index, const MetaPage& meta)
      : meta_(meta), name_(RelationGetRelationName(index)) {}
  Result<crypto::ObjectCipher> CipherFor(const ObjectHeader& object) override;

 private:
  MetaPage meta_;
  std::string name_;
  HeldKey data_key_;
};

/// One segment as opened. The routing image is in the cache: pinned for each scan.
struct OpenedSegment {
  SegmentEntry entry;
  size_t image_bytes;
  // Dead rows per list; null: none. Scans share it, so a refresh makes another one.
  std::shared_ptr<const std::vector<uint32_t>> dead;
};

class OpenedIndex {
 public:
  /// The index as the metapage describes it now. Throws.
  static std::shared_ptr<OpenedIndex> Get(Relation index, const MetaPage& meta);

  OpenedIndex(const OpenedIndex&) = delete;
  OpenedIndex& operator=(const OpenedIndex&) = delete;
  ~OpenedIndex();

  const MetaPage& meta() const { return meta_; }
  const index::Space& space() const { return *space_; }
  const quant::CodeLayout& layout() const { return layout_; }
  IndexKeys& keys() { return keys_; }

  /// Reads the segment directory, if that has not been done. Throws.
  void OpenSegments(Relation index);
  std::vector<OpenedSegment>& segments() { return segments_; }

  /// Brings the dead counts to what the metapage `meta` says. Throws.
  void RefreshDead(Relation index, const MetaPage& meta);

  /// Pins the routing image of segment i; builds it when no backend has. Throws.
  index::Routing PinRouting(Relation index, size_t i, PinSet* pins);

  /// A searcher that no scan is using, with its buffers warm.
  std::unique_ptr<index::Searcher> TakeSearcher();
  void ReturnSearcher(std::unique_ptr<index::Searcher> searcher);

 private:
  OpenedIndex(Relation index, const MetaPage& meta);
  bool Describes(Relation index, const MetaPage& meta) const;

  MetaPage meta_;
  compat::RelationLocator locator_;
  std::unique_ptr<index::Space> space_;
  quant::CodeLayout layout_;
  IndexKeys keys_;
  bool segments_open_ = false;
  std::vector<OpenedSegment> segments_;
  uint64_t dead_version_ = ~uint64_t{0};  // of no metapage: the first look reads the counts
  std::vector<std::unique_ptr<index::Searcher>> idle_;
};

}  // namespace vdb::pg
