/// vdb.check: whether an index is what its pages say it is.
///
/// Readers and writers go on meanwhile. What vacuum changes during a check only grows (dead marks
/// and their counts), and is compared accordingly.
///
/// Everything here throws: XX002 (StatusError or ErrorPending) naming the index and where it is
/// damaged; an interrupt; whatever reading raises.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "crypto/object_cipher.h"
#include "pg/am/directory.h"
#include "pg/am/inspect.h"
#include "pg/am/meta.h"
#include "pg/am/opened.h"
#include "pg/am/tid_page.h"
#include "pg/store/object_reader.h"

namespace vdb::pg {

struct CheckCounts {
  uint64_t objects, frames, bytes, lists, rows, dead, delta_rows;
};

/// Takes the live TIDs (PackTid) of one page at a time, in no order.
using TidSink = std::function<void(std::span<const uint64_t>)>;

/// Which pages of an index something refers to. No page may have two owners.
class PageUse {
 public:
  explicit PageUse(Relation index) : index_(index) {}
  void Take(BlockNumber block);
  void Take(const std::vector<Extent>& extents);

 private:
  Relation index_;
  BlockNumber blocks_ = 0;  // of the relation, when last looked
  std::vector<bool> taken_;
};

/// The pages that are no object's: chains, TIDs, dead counts, delta.
class PageChecker {
 public:
  /// sink: called for each page with TIDs; may be empty.
  PageChecker(Relation index, const MetaPage& meta, PageUse* use, TidSink sink);

  /// The bytes of a chain.
  std::vector<uint8_t> Chain(BlockNumber first, PageKind kind);
  /// Rotation and mean.
  void Parameters();
  /// TID pages and dead counts against the directory. Returns the dead rows.
  uint64_t Segment(const SegmentEntry& segment);
  /// Returns the rows of the delta.
  uint64_t Delta();

 private:
  void TidRun(const SegmentEntry& segment, const ObjectEntry& chunk, std::vector<uint32_t>* dead);
  void TidBlockOf(const TidBlock& block, uint32_t rows, BlockNumber where);

  Relation index_;
  const MetaPage& meta_;
  PageUse* use_;
  TidSink sink_;
  BufferAccessStrategy ring_;
  std::vector<uint64_t> tids_;  // of the page at hand
};

/// Objects: that all their pages are there, and, in full, that every byte is what was written.
class ObjectChecker {
 public:
  ObjectChecker(Relation index, const MetaPage& meta, PageUse* use, bool full)
      : index_(index), meta_(meta), use_(use), full_(full), keys_(index, meta) {}

  /// All objects of a segment; adds to objects, frames and bytes.
  void Segment(const SegmentEntry& segment, CheckCounts* counts);

 private:
  void Routing(const SegmentEntry& segment, ObjectReader* reader);
  void Chunk(const SegmentEntry& segment, uint32_t number, ObjectReader* reader);
  void Read(const ObjectEntry& object, uint64_t max_plain_bytes, ObjectReader* reader);
  Status WrongObject(const ObjectEntry& object, const std::string& what) const;

  Relation index_;
  const MetaPage& meta_;
  PageUse* use_;
  bool full_;
  IndexKeys keys_;
  std::vector<uint8_t> stored_;   // a frame
  AlignedBuffer<uint8_t> plain_;  // of the object at hand, in full only
};

/// Every TID once and inside the table; every row that `snapshot` sees in the index.
class TableCheck {
 public:
  /// snapshot: registered, taken before the index was read. once: no vacuum runs meanwhile, so no
  /// TID can have come back.
  TableCheck(Relation table, Relation index, Snapshot snapshot, bool once);
  TableCheck(const TableCheck&) = delete;

  void Add(std::span<const uint64_t> tids);
  /// Call when all have been added.
  void Run();

 private:
  void ScanTable();
  void Compare();

  Relation table_, index_;
  Snapshot snapshot_;
  bool once_;
  // Sorted on disk as far as maintenance_work_mem does not hold them; released by Run or an abort.
  Tuplesortstate* indexed_;
  Tuplesortstate* visible_ = nullptr;
};

}  // namespace vdb::pg
