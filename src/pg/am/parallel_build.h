/// SortedRows: the encoded rows of a table in order of list, made by this backend alone or with
/// parallel workers.
///
/// Workers get the space and the centroids through shared memory, scan their blocks of the table,
/// encode and sort; the leader does the same and merges, as nbtree's parallel build does.
#pragma once

#include "pg/am/encode_scan.h"

namespace vdb::pg {

class SortedRows {
 public:
  /// Scans the whole table. l1: see EncodeScan; such a build is serial, since the calibrator must
  /// see every row. Throws.
  SortedRows(Relation heap, Relation index, IndexInfo* info, const EncodeContext& context,
             index::Calibrator* l1);
  SortedRows(const SortedRows&) = delete;
  ~SortedRows();

  uint64_t rows() const { return rows_; }

  void Sort();
  /// The next row; `code` stays valid until the next call. False: there are no more.
  bool Next(uint32_t* list, SortedRow* row, const uint8_t** code);
  /// Ends workers and sort. Not called on an error: PostgreSQL's abort does it then.
  void End();

 private:
  struct Parallel;
  void ScanSerially(index::Calibrator* l1);
  bool ScanInParallel(int workers);

  Relation heap_, index_;
  IndexInfo* info_;
  const EncodeContext& context_;
  Tuplesortstate* sort_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  std::unique_ptr<Parallel> parallel_;
  uint64_t rows_ = 0;
  // Of a build without workers whose vectors are stored, which is one for a remote store: encodes
  // rows as they come from the sort, while objects are sent, and not before the first of them can
  // be. Workers encode sooner than that, all at once.
  std::unique_ptr<LateEncoder> encoder_;
};

}  // namespace vdb::pg

extern "C" {
struct dsm_segment;
struct shm_toc;
/// Where parallel workers begin.
PGDLLEXPORT void vdb_parallel_build_main(dsm_segment* segment, shm_toc* toc);
}
