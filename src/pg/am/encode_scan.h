/// The build's second pass over the table: each row goes to its list and becomes a code, which is
/// sorted by list.
///
/// Leader and parallel workers run the same pass over their share of the table.
#pragma once

#include <vector>

#include "index/calibrator.h"
#include "index/space.h"
#include "index/trainer.h"
#include "pg/am/build_rules.h"
#include "pg/am/opclass.h"
#include "quant/rabitq.h"

namespace vdb::pg {

/// A sorted item's datum: list number as int4, then a bytea that holds this, the row code unless
/// encoding is left for later, and, if wanted, the vector as it is in the column.
struct SortedRow {
  uint64_t tid;       // packed
  float residual_sq;  // squared distance from the list's centroid
};

/// What the pass needs; all outlive it.
struct EncodeContext {
  const OpclassInfo* opclass;
  const index::Space* space;
  const index::Centroids* centroids;
  const index::Assigner* assigner;
  const quant::Encoder* encoder;
  uint32_t n_queries;     // that the calibrator holds, and
  uint32_t write_bytes;   // what writing chunks will take, about: for the sort to leave room
  uint32_t vector_bytes;  // that go along with a row code; 0: no vectors are stored
};

/// Columns of the sort: int4 list, bytea row.
TupleDesc SortedRowDescriptor();

class EncodeScan {
 public:
  /// l1: calibrator to feed with raw rows for L1, else null. with_codes: false leaves encoding to
  /// who reads the sorted vectors.
  EncodeScan(const EncodeContext& context, Tuplesortstate* sort, index::Calibrator* l1,
             bool with_codes);
  EncodeScan(const EncodeScan&) = delete;
  ~EncodeScan();

  /// Scans (its share of) the table; `scan` is null in a serial build. Returns the heap rows seen.
  double Run(Relation heap, Relation index, IndexInfo* info, TableScanDesc scan, bool progress);

  uint64_t rows() const { return rows_; }

 private:
  static void AddRow(Relation index, ItemPointer tid, Datum* values, bool* isnull, bool alive,
                     void* arg);
  void Add(const ItemPointerData& tid, Datum value);
  void Flush();

  EncodeContext context_;
  Tuplesortstate* sort_;
  index::Calibrator* l1_;
  bool with_codes_;
  MemoryContext row_memory_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  uint32_t batch_rows_;           // BatchRows
  AlignedBuffer<float> batch_;    // (batch_rows_, padded_dim)
  AlignedBuffer<float> raw_;      // (dim,) a widened row
  AlignedBuffer<float> l1_rows_;  // (batch_rows_, dim) when l1_ is set
  std::vector<uint8_t> vectors_;  // (batch_rows_, vector_bytes)
  bytea* item_ = nullptr;
  uint64_t tids_[kMaxBatchRows];
  uint32_t lists_[kMaxBatchRows];
  uint32_t batched_ = 0;
  uint64_t rows_ = 0;
  bool progress_ = false;
};

/// Encodes rows whose vectors were sorted without codes.
class LateEncoder {
 public:
  /// context.vector_bytes > 0.
  explicit LateEncoder(const EncodeContext& context);

  /// The row code and then the vector, as a SortedRow is followed by them; valid until the next
  /// call. vector: as it was sorted, on any boundary.
  const uint8_t* Encode(uint32_t list, const uint8_t* vector);

 private:
  const EncodeContext& context_;
  AlignedBuffer<float> raw_;    // (dim,) a widened row
  AlignedBuffer<float> point_;  // (padded_dim,)
  // A row code has a multiple of 4 bytes, so that the vector behind it is aligned.
  AlignedBuffer<uint8_t> out_;
};

}  // namespace vdb::pg
