#include "pg/am/encode_scan.h"

#include "pg/am/delta.h"
#include "pg/guard.h"
#include "simd/distance.h"

namespace vdb::pg {

TupleDesc SortedRowDescriptor() {
  TupleDesc descriptor = CreateTemplateTupleDesc(2);
  TupleDescInitEntry(descriptor, 1, "list", INT4OID, -1, 0);
  TupleDescInitEntry(descriptor, 2, "row", BYTEAOID, -1, 0);
  return descriptor;
}

EncodeScan::EncodeScan(const EncodeContext& context, Tuplesortstate* sort, index::Calibrator* l1,
                       bool with_codes)
    : context_(context),
      sort_(sort),
      l1_(l1),
      with_codes_(with_codes),
      batch_rows_(BatchRows(maintenance_work_mem, context.space->padded_dim())),
      batch_(size_t{batch_rows_} * context.space->padded_dim()),
      raw_(context.space->dim()),
      l1_rows_(l1 == nullptr ? 0 : size_t{batch_rows_} * context.space->dim()),
      vectors_(size_t{batch_rows_} * context.vector_bytes) {
  const size_t code_bytes = with_codes ? context.encoder->layout().row_bytes() : 0;
  const size_t bytes = VARHDRSZ + sizeof(SortedRow) + code_bytes + context.vector_bytes;
  Call([&] {
    row_memory_ =
        AllocSetContextCreate(CurrentMemoryContext, "vdb build row", ALLOCSET_DEFAULT_SIZES);
    slot_ = MakeSingleTupleTableSlot(SortedRowDescriptor(), &TTSOpsVirtual);
    item_ = static_cast<bytea*>(palloc0(bytes));
    SET_VARSIZE(item_, bytes);
  });
}

// PostgreSQL's memory goes with the build's context.
EncodeScan::~EncodeScan() = default;

double EncodeScan::Run(Relation heap, Relation index, IndexInfo* info, TableScanDesc scan,
                       bool progress) {
  progress_ = progress;
  return Call([&] {
    const double rows =
        table_index_build_scan(heap, index, info, true, progress, AddRow, this, scan);
    Flush();
    return rows;
  });
}

void EncodeScan::AddRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
  if (isnull[0]) return;
  Entry("vdb build", [&] { static_cast<EncodeScan*>(arg)->Add(*tid, values[0]); });
}

void EncodeScan::Add(const ItemPointerData& tid, Datum value) {
  const index::Space& space = *context_.space;
  MemoryContext old = MemoryContextSwitchTo(row_memory_);
  void* copy;
  const Elements elements = ViewElements(*context_.opclass, value, &copy);
  if (elements.dim != space.dim()) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected %u dimensions, not %u", space.dim(), elements.dim)));
  }
  const float* floats = AsFloats(elements, raw_.data());
  if (space.Data(floats, batch_.data() + size_t{batched_} * space.padded_dim())) {
    tids_[batched_] = PackTid(tid);
    if (l1_ != nullptr) {
      std::memcpy(l1_rows_.data() + size_t{batched_} * space.dim(), floats,
                  sizeof(float) * space.dim());
    }
    // With none there is no buffer, and memcpy takes no null.
    if (context_.vector_bytes > 0) {
      std::memcpy(vectors_.data() + size_t{batched_} * context_.vector_bytes, elements.data,
                  context_.vector_bytes);
    }
    batched_++;
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(row_memory_);
  if (batched_ == batch_rows_) Flush();
}

/// Assigns the batch, encodes it with_codes_, and hands it to the sort. Holds no C++ object:
/// tuplesort may ereport.
void EncodeScan::Flush() {
  CHECK_FOR_INTERRUPTS();
  const uint32_t dim = context_.space->padded_dim();
  context_.assigner->Assign(batch_.data(), batched_, lists_);
  for (uint32_t i = 0; i < batched_; i++) {
    const float* vector = batch_.data() + size_t{i} * dim;
    const float* centroid = context_.centroids->row(lists_[i]);
    const SortedRow row{tids_[i], simd::L2Sq(vector, centroid, dim)};
    std::memcpy(VARDATA(item_), &row, sizeof(row));
    auto* out = reinterpret_cast<uint8_t*>(VARDATA(item_)) + sizeof(row);
    if (with_codes_) {
      context_.encoder->Encode(vector, centroid, out);
      out += context_.encoder->layout().row_bytes();
    }
    if (context_.vector_bytes > 0) {
      std::memcpy(out, vectors_.data() + size_t{i} * context_.vector_bytes, context_.vector_bytes);
    }
    if (l1_ != nullptr) {
      l1_->AddRowL1(tids_[i], l1_rows_.data() + size_t{i} * context_.space->dim(), lists_[i]);
    }
    ExecClearTuple(slot_);
    slot_->tts_values[0] = Int32GetDatum(static_cast<int32>(lists_[i]));
    slot_->tts_values[1] = PointerGetDatum(item_);
    slot_->tts_isnull[0] = slot_->tts_isnull[1] = false;
    ExecStoreVirtualTuple(slot_);
    tuplesort_puttupleslot(sort_, slot_);
  }
  rows_ += batched_;
  if (progress_) {
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(rows_));
  }
  batched_ = 0;
}

LateEncoder::LateEncoder(const EncodeContext& context)
    : context_(context),
      raw_(context.space->dim()),
      point_(context.space->padded_dim()),
      out_(context.encoder->layout().row_bytes() + context.vector_bytes) {}

const uint8_t* LateEncoder::Encode(uint32_t list, const uint8_t* vector) {
  const index::Space& space = *context_.space;
  uint8_t* const stored = out_.data() + context_.encoder->layout().row_bytes();
  std::memcpy(stored, vector, context_.vector_bytes);
  const Elements elements{context_.opclass->element, space.dim(), stored};
  space.Data(AsFloats(elements, raw_.data()), point_.data());
  context_.encoder->Encode(point_.data(), context_.centroids->row(list), out_.data());
  return out_.data();
}

}  // namespace vdb::pg
