/// SegmentWriter: sorted rows in, one segment out: lists to blocks, blocks to chunk objects, TID
/// pages, the routing object, the segment's directory entry.
#pragma once

#include <vector>

#include "base/interrupt.h"
#include "crypto/object_cipher.h"
#include "crypto/secret.h"
#include "format/chunk.h"
#include "index/calibrator.h"
#include "index/routing.h"
#include "index/trainer.h"
#include "pg/am/directory.h"
#include "pg/am/encode_scan.h"
#include "pg/store/object_writer.h"
#include "quant/code_layout.h"

namespace vdb::pg {

/// What a segment's objects say of the index they belong to.
struct SegmentShape {
  format::Uuid uuid;
  uint32_t segment;
  Metric metric;
  ElementType element;
  uint32_t dim;
  quant::CodeLayout layout;
  uint32_t max_chunk_bytes;  // of plaintext; a list that is larger by itself makes its own chunk
  uint32_t chunk_rows;       // a chunk is closed when it has this many rows
  bool encrypted;
  uint32_t vector_bytes;  // of a row in region C, which follow its code; 0: there is no region C
  float recall_target;
};

class SegmentWriter {
 public:
  /// objects: where they go. data_key: null when not encrypted. calibrator may be null (default
  /// theta). All outlive the writer.
  SegmentWriter(Relation index, WriteMode mode, const SegmentShape& shape, ObjectWriter* objects,
                const crypto::SecretKey* data_key, const index::Centroids& centroids,
                index::Calibrator* calibrator, InterruptPoll poll);

  /// Rows in order of list. `code`: a row code, and shape.vector_bytes of the row's vector. Throws.
  void Add(uint32_t list, const SortedRow& row, const uint8_t* code);

  /// Writes what is left and the routing object.
  SegmentEntry Finish();

  /// The probing rule that was calibrated. Valid after Finish.
  const index::Calibration& calibration() const { return calibration_; }

 private:
  void FinishList();
  void SkipLists(uint32_t next);
  void FinishChunk();
  /// Seals `plain` and writes it as an object: fills id, nonce, plain_bytes and extents.
  void WriteObject(std::span<const uint8_t> plain, ObjectEntry* object);
  std::vector<Extent> WriteTids();
  format::ChunkHeader ChunkHeaderFor(uint32_t first_list) const;

  Relation index_;
  WriteMode mode_;
  SegmentShape shape_;
  const crypto::SecretKey* data_key_;
  const index::Centroids& centroids_;
  index::Calibrator* calibrator_;
  InterruptPoll poll_;

  ObjectWriter* objects_;
  format::ChunkWriter chunk_;
  SegmentEntry entry_;

  // The list being filled: row codes and what goes with them.
  uint32_t trained_list_ = 0;  // its number among the trained centroids
  uint32_t max_list_rows_;
  std::vector<uint8_t> codes_, vectors_;
  std::vector<uint64_t> tids_;
  double residual_sq_ = 0;
  std::vector<uint8_t> blocks_, ex_records_;

  // The chunk being filled.
  uint32_t chunk_first_list_ = 0, chunk_first_slot_ = 0;
  std::vector<uint64_t> chunk_tids_;  // by slot, kNoTid in padding

  // Of all lists, for the routing object.
  std::vector<int8_t> routing_centroids_;
  std::vector<float> scale_, radius_;
  std::vector<uint32_t> chunk_lists_;
  uint32_t next_calibrated_ = 0;
  index::Calibration calibration_;
};

}  // namespace vdb::pg
