/// The segment directory: which segments an index has, which objects they are made of and where
/// those lie.
///
/// On disk it is one byte stream in a chain of kDirectory pages: DirectoryHeader, then for each
/// segment a SegmentHeader, its objects (the routing object first, then chunks in list order), each
/// an ObjectHeader followed by its extents (stored bytes, then TID pages), then uint32
/// rows[n_lists]. All little-endian, no padding but what the structs show. It is written once and
/// never changed: a publish writes a new chain and flips the metapage.
#pragma once

#include <vector>

#include "base/status.h"
#include "pg/am/page.h"

namespace vdb::pg {

struct DirectoryHeader {
  uint32_t n_segments;
  uint32_t reserved;
};

struct SegmentHeader {
  uint32_t segment;    // number, from 1
  uint32_t n_objects;  // with the routing object
  uint32_t n_lists;
  uint32_t n_slots;
  uint64_t n_rows;
  BlockNumber dead;  // first of the pages of per-list dead counts (kListDead), consecutive
  uint32_t dead_pages;
  // The probing rule and what was measured for it (index::Calibration), to be seen without the
  // master key; a search takes them from the routing object.
  float theta, recall_target, measured_recall, mean_lists, p80_lists, mean_rows;
  uint32_t calibration_queries;
  float reach;  // of index::Calibration, and nowhere else; 0: not measured
};

struct ObjectHeader {
  uint8_t id[32];     // BLAKE3 of the stored bytes
  uint8_t nonce[32];  // its key is derived from this and the data key
  uint64_t plain_bytes;
  uint32_t first_list, n_lists;           // of a chunk
  uint32_t first_slot, n_slots;           // of a chunk: multiples of 32
  uint32_t a_offset, b_offset, c_offset;  // regions in the plaintext
  uint32_t n_extents, n_tid_extents;
  uint32_t reserved;
};

/// An object as opened.
struct ObjectEntry {
  ObjectHeader header;
  std::vector<Extent> extents;      // of the stored bytes, in stream order
  std::vector<Extent> tid_extents;  // of the TID pages of its slots, in slot order
};

struct SegmentEntry {
  SegmentHeader header;
  ObjectEntry routing;
  std::vector<ObjectEntry> chunks;
  std::vector<uint32_t> list_rows;
};

/// Dead counts a kListDead page holds.
inline constexpr uint32_t kDeadCountsPerPage = kPagePayload / sizeof(uint32_t);

std::vector<uint8_t> SerializeDirectory(const std::vector<SegmentEntry>& segments);
/// Validates all sizes. Errors: kCorruption.
Result<std::vector<SegmentEntry>> ParseDirectory(const uint8_t* bytes, size_t size);

/// The block of page `index` of a run of extents; InvalidBlockNumber beyond its end.
BlockNumber ExtentBlock(const std::vector<Extent>& extents, uint64_t index);

}  // namespace vdb::pg
