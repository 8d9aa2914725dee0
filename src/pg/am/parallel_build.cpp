#include "pg/am/parallel_build.h"

#include <algorithm>

#include "pg/am/meta.h"
#include "pg/am/opened.h"
#include "pg/guard.h"
#include "simd/assign.h"

extern "C" {
#include "access/parallel.h"
#include "access/table.h"
#include "catalog/pg_operator_d.h"
#include "executor/instrument.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
}

namespace vdb::pg {

namespace {

enum TocKey : uint64 {
  kTocShared = 0xd1b0000000000001,
  kTocSort,
  kTocParameters,
  kTocCodes,
  kTocScales,
  kTocQueryText,
  kTocWalUsage,
  kTocBufferUsage,
};

/// What leader and workers share. A ParallelTableScanDesc follows it.
struct BuildShared {
  Oid heap, index;
  bool concurrent;
  uint32_t dim, code_bits, n_lists;
  uint32_t parameter_bytes, write_bytes, vector_bytes;
  int participants;
  ConditionVariable done_cv;
  slock_t mutex;
  // Protected by mutex.
  int done;
  double heap_rows;
  uint64_t rows;

  ParallelTableScanDesc scan() {
    return reinterpret_cast<ParallelTableScanDesc>(reinterpret_cast<char*>(this) +
                                                   BUFFERALIGN(sizeof(BuildShared)));
  }
};

Tuplesortstate* BeginSort(int work_mem_kb, SortCoordinate coordinate) {
  AttrNumber column = 1;
  Oid less = Int4LessOperator, collation = InvalidOid;
  bool nulls_first = false;
  return tuplesort_begin_heap(SortedRowDescriptor(), 1, &column, &less, &collation, &nulls_first,
                              work_mem_kb, coordinate, TUPLESORT_NONE);
}

/// Memory for sorting: what centroids, their panels, the calibrator's queries, a batch of rows and
/// the writing of chunks leave of maintenance_work_mem.
int SortMemory(const EncodeContext& context, int participants) {
  const uint32_t n = context.centroids->n, dim = context.centroids->dim;
  const double row_kb = dim * sizeof(float) / 1024.0;
  const double rows = 2.0 * n + static_cast<double>(simd::PanelFloats(n, 1)) +
                      2.0 * context.n_queries + 2.0 * BatchRows(maintenance_work_mem, dim);
  // A sixteenth for what the sort needs besides its tuples, and the allocator between them.
  const double others_kb =
      rows * row_kb + context.write_bytes / 1024.0 + maintenance_work_mem / 16.0;
  const double kb = std::max(maintenance_work_mem - others_kb, maintenance_work_mem / 4.0);
  return std::max(static_cast<int>(kb / participants), 64);
}

/// One participant's share: scan, encode, sort, and tell the others.
void RunParticipant(BuildShared* shared, Sharedsort* sharedsort, const EncodeContext& context,
                    Relation heap, Relation index, IndexInfo* info, bool progress) {
  SortCoordinate coordinate = nullptr;
  Tuplesortstate* sort = Call([&] {
    coordinate = static_cast<SortCoordinate>(palloc0(sizeof(SortCoordinateData)));
    coordinate->isWorker = true;
    coordinate->nParticipants = -1;
    coordinate->sharedsort = sharedsort;
    return BeginSort(SortMemory(context, shared->participants), coordinate);
  });
  EncodeScan scan(context, sort, nullptr, true);
  TableScanDesc table_scan = Call([&] { return table_beginscan_parallel(heap, shared->scan()); });
  const double heap_rows = scan.Run(heap, index, info, table_scan, progress);
  Call([&] {
    tuplesort_performsort(sort);
    SpinLockAcquire(&shared->mutex);
    shared->done++;
    shared->heap_rows += heap_rows;
    shared->rows += scan.rows();
    SpinLockRelease(&shared->mutex);
    ConditionVariableSignal(&shared->done_cv);
    tuplesort_end(sort);
  });
}

/// A worker's copy of the leader's space and centroids.
struct WorkerContext {
  std::unique_ptr<index::Space> space;
  index::Centroids centroids;
  std::unique_ptr<index::Assigner> assigner;
  std::unique_ptr<quant::Encoder> encoder;
};

void RunWorker(shm_toc* toc) {
  auto* shared =
      static_cast<BuildShared*>(Call([&] { return shm_toc_lookup(toc, kTocShared, false); }));
  Sharedsort* sharedsort = nullptr;
  const uint64_t* parameters = nullptr;
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  WalUsage* wal = nullptr;
  BufferUsage* buffers = nullptr;
  Relation heap = nullptr, index = nullptr;
  IndexInfo* info = nullptr;
  const OpclassInfo* opclass = nullptr;
  const LOCKMODE heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
  const LOCKMODE index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
  Call([&] {
    debug_query_string = static_cast<char*>(shm_toc_lookup(toc, kTocQueryText, true));
    pgstat_report_activity(STATE_RUNNING, debug_query_string);
    sharedsort = static_cast<Sharedsort*>(shm_toc_lookup(toc, kTocSort, false));
    parameters = static_cast<const uint64_t*>(shm_toc_lookup(toc, kTocParameters, false));
    codes = static_cast<const int8_t*>(shm_toc_lookup(toc, kTocCodes, false));
    scales = static_cast<const float*>(shm_toc_lookup(toc, kTocScales, false));
    wal = static_cast<WalUsage*>(shm_toc_lookup(toc, kTocWalUsage, false));
    buffers = static_cast<BufferUsage*>(shm_toc_lookup(toc, kTocBufferUsage, false));
    heap = table_open(shared->heap, heap_lock);
    index = index_open(shared->index, index_lock);
    info = BuildIndexInfo(index);
    info->ii_Concurrent = shared->concurrent;
    opclass = &OpclassOf(index);
    InstrStartParallelQuery();
  });
  const uint32_t padded = quant::PaddedDim(shared->dim);
  const size_t words = quant::RotationSignWords(padded);
  Result<quant::Rotation> rotation = quant::Rotation::FromSigns(shared->dim, {parameters, words});
  ThrowIfError(rotation.status());
  WorkerContext worker;
  worker.space = std::make_unique<index::Space>(
      opclass->metric, std::move(rotation).value(),
      std::span<const float>(reinterpret_cast<const float*>(parameters + words), padded));
  worker.centroids = index::CentroidsFromCodes(padded, {codes, size_t{shared->n_lists} * padded},
                                               {scales, shared->n_lists});
  worker.assigner = std::make_unique<index::Assigner>(worker.centroids);
  worker.encoder = std::make_unique<quant::Encoder>(quant::CodeLayout{padded, shared->code_bits},
                                                    worker.space->estimator());
  const EncodeContext context{opclass,
                              worker.space.get(),
                              &worker.centroids,
                              worker.assigner.get(),
                              worker.encoder.get(),
                              0,
                              shared->write_bytes,
                              shared->vector_bytes};
  RunParticipant(shared, sharedsort, context, heap, index, info, false);
  Call([&] {
    InstrEndParallelQuery(&buffers[ParallelWorkerNumber], &wal[ParallelWorkerNumber]);
    index_close(index, index_lock);
    table_close(heap, heap_lock);
  });
}

}  // namespace

/// The leader's side of a parallel build. Only PostgreSQL's memory: its abort cleans up.
struct SortedRows::Parallel {
  ParallelContext* context = nullptr;
  BuildShared* shared = nullptr;
  Sharedsort* sharedsort = nullptr;
  Snapshot snapshot = nullptr;
  WalUsage* wal = nullptr;
  BufferUsage* buffers = nullptr;
  int participants = 0;
};

SortedRows::SortedRows(Relation heap, Relation index, IndexInfo* info, const EncodeContext& context,
                       index::Calibrator* l1)
    : heap_(heap), index_(index), info_(info), context_(context) {
  const int workers = l1 != nullptr ? 0 : Call([&] {
    return plan_create_index_workers(RelationGetRelid(heap_), RelationGetRelid(index_));
  });
  if (workers == 0 || !ScanInParallel(workers)) ScanSerially(l1);
  slot_ = Call([] { return MakeSingleTupleTableSlot(SortedRowDescriptor(), &TTSOpsMinimalTuple); });
}

SortedRows::~SortedRows() = default;

void SortedRows::ScanSerially(index::Calibrator* l1) {
  sort_ = Call([&] { return BeginSort(SortMemory(context_, 1), nullptr); });
  if (context_.vector_bytes > 0) encoder_ = std::make_unique<LateEncoder>(context_);
  EncodeScan scan(context_, sort_, l1, encoder_ == nullptr);
  scan.Run(heap_, index_, info_, nullptr, true);
  rows_ = scan.rows();
}

bool SortedRows::ScanInParallel(int workers) {
  auto parallel = std::make_unique<Parallel>();
  const index::Centroids& centroids = *context_.centroids;
  const std::vector<uint8_t> parameters = SerializeParameters(*context_.space);
  const size_t code_bytes = centroids.codes.size();
  const size_t scale_bytes = centroids.scale.size() * sizeof(float);
  const bool launched = Call([&] {
    EnterParallelMode();
    ParallelContext* pcxt = CreateParallelContext("vdb_ext", "vdb_parallel_build_main", workers);
    parallel->context = pcxt;
    parallel->participants = workers + 1;
    parallel->snapshot =
        info_->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
    const Size shared_bytes =
        BUFFERALIGN(sizeof(BuildShared)) + table_parallelscan_estimate(heap_, parallel->snapshot);
    const Size sort_bytes = tuplesort_estimate_shared(parallel->participants);
    const Size text_bytes = debug_query_string == nullptr ? 0 : strlen(debug_query_string) + 1;
    shm_toc_estimator* estimator = &pcxt->estimator;
    int chunks = 5;
    shm_toc_estimate_chunk(estimator, shared_bytes);
    shm_toc_estimate_chunk(estimator, sort_bytes);
    shm_toc_estimate_chunk(estimator, parameters.size());
    shm_toc_estimate_chunk(estimator, code_bytes);
    shm_toc_estimate_chunk(estimator, scale_bytes);
    shm_toc_estimate_chunk(estimator, mul_size(sizeof(WalUsage), pcxt->nworkers));
    shm_toc_estimate_chunk(estimator, mul_size(sizeof(BufferUsage), pcxt->nworkers));
    chunks += 2;
    if (text_bytes > 0) {
      shm_toc_estimate_chunk(estimator, text_bytes);
      chunks++;
    }
    shm_toc_estimate_keys(estimator, chunks);
    InitializeParallelDSM(pcxt);
    if (pcxt->seg == nullptr) {
      if (IsMVCCSnapshot(parallel->snapshot)) UnregisterSnapshot(parallel->snapshot);
      DestroyParallelContext(pcxt);
      ExitParallelMode();
      return false;
    }

    auto* shared = static_cast<BuildShared*>(shm_toc_allocate(pcxt->toc, shared_bytes));
    memset(shared, 0, sizeof(BuildShared));
    shared->heap = RelationGetRelid(heap_);
    shared->index = RelationGetRelid(index_);
    shared->concurrent = info_->ii_Concurrent;
    shared->dim = context_.space->dim();
    shared->code_bits = context_.encoder->layout().bits;
    shared->n_lists = centroids.n;
    shared->parameter_bytes = static_cast<uint32_t>(parameters.size());
    shared->write_bytes = context_.write_bytes;
    shared->vector_bytes = context_.vector_bytes;
    shared->participants = parallel->participants;
    ConditionVariableInit(&shared->done_cv);
    SpinLockInit(&shared->mutex);
    table_parallelscan_initialize(heap_, shared->scan(), parallel->snapshot);
    shm_toc_insert(pcxt->toc, kTocShared, shared);
    parallel->shared = shared;

    parallel->sharedsort = static_cast<Sharedsort*>(shm_toc_allocate(pcxt->toc, sort_bytes));
    tuplesort_initialize_shared(parallel->sharedsort, parallel->participants, pcxt->seg);
    shm_toc_insert(pcxt->toc, kTocSort, parallel->sharedsort);
    const auto share = [&](uint64 key, const void* bytes, Size size) {
      void* copy = shm_toc_allocate(pcxt->toc, size);
      memcpy(copy, bytes, size);
      shm_toc_insert(pcxt->toc, key, copy);
    };
    share(kTocParameters, parameters.data(), parameters.size());
    share(kTocCodes, centroids.codes.data(), code_bytes);
    share(kTocScales, centroids.scale.data(), scale_bytes);
    if (text_bytes > 0) share(kTocQueryText, debug_query_string, text_bytes);
    const auto nworkers = static_cast<Size>(pcxt->nworkers);
    parallel->wal =
        static_cast<WalUsage*>(shm_toc_allocate(pcxt->toc, sizeof(WalUsage) * nworkers));
    shm_toc_insert(pcxt->toc, kTocWalUsage, parallel->wal);
    parallel->buffers =
        static_cast<BufferUsage*>(shm_toc_allocate(pcxt->toc, sizeof(BufferUsage) * nworkers));
    shm_toc_insert(pcxt->toc, kTocBufferUsage, parallel->buffers);
    LaunchParallelWorkers(pcxt);
    parallel->participants = pcxt->nworkers_launched + 1;
    return true;
  });
  if (!launched) return false;
  parallel_ = std::move(parallel);
  RunParticipant(parallel_->shared, parallel_->sharedsort, context_, heap_, index_, info_, true);

  BuildShared* const shared = parallel_->shared;
  Call([&] {
    WaitForParallelWorkersToAttach(parallel_->context);
    for (;;) {
      SpinLockAcquire(&shared->mutex);
      const bool done = shared->done == parallel_->participants;
      SpinLockRelease(&shared->mutex);
      if (done) break;
      ConditionVariableSleep(&shared->done_cv, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
    }
    ConditionVariableCancelSleep();
    auto* coordinate = static_cast<SortCoordinate>(palloc0(sizeof(SortCoordinateData)));
    coordinate->isWorker = false;
    coordinate->nParticipants = parallel_->participants;
    coordinate->sharedsort = parallel_->sharedsort;
    sort_ = BeginSort(SortMemory(context_, 1), coordinate);
  });
  rows_ = shared->rows;
  return true;
}

void SortedRows::Sort() {
  Call([&] { tuplesort_performsort(sort_); });
}

bool SortedRows::Next(uint32_t* list, SortedRow* row, const uint8_t** code) {
  const char* bytes = Call([&]() -> const char* {
    if (!tuplesort_gettupleslot(sort_, true, false, slot_, nullptr)) return nullptr;
    bool isnull;
    *list = static_cast<uint32_t>(DatumGetInt32(slot_getattr(slot_, 1, &isnull)));
    return VARDATA_ANY(DatumGetPointer(slot_getattr(slot_, 2, &isnull)));
  });
  if (bytes == nullptr) return false;
  std::memcpy(row, bytes, sizeof(*row));
  bytes += sizeof(*row);
  const auto* rest = reinterpret_cast<const uint8_t*>(bytes);
  *code = encoder_ == nullptr ? rest : encoder_->Encode(*list, rest);
  return true;
}

void SortedRows::End() {
  Call([&] {
    ExecDropSingleTupleTableSlot(slot_);
    tuplesort_end(sort_);
    if (parallel_ == nullptr) return;
    WaitForParallelWorkersToFinish(parallel_->context);
    for (int i = 0; i < parallel_->context->nworkers_launched; i++) {
      InstrAccumParallelQuery(&parallel_->buffers[i], &parallel_->wal[i]);
    }
    if (IsMVCCSnapshot(parallel_->snapshot)) UnregisterSnapshot(parallel_->snapshot);
    DestroyParallelContext(parallel_->context);
    ExitParallelMode();
  });
}

}  // namespace vdb::pg

extern "C" void vdb_parallel_build_main(dsm_segment*, shm_toc* toc) {
  vdb::pg::Entry("vdb_parallel_build_main", [&] { vdb::pg::RunWorker(toc); });
}
