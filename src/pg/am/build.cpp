/// ambuild: sample, train, encode and sort, write. Everything goes into new pages without WAL; at
/// the end the whole relation is logged. A build that fails leaves a relation that the aborted
/// transaction takes with it.
#include <algorithm>
#include <cmath>
#include <memory>

#include "pg/am/build_rules.h"
#include "pg/am/chain.h"
#include "pg/am/delta.h"
#include "pg/am/encode_scan.h"
#include "pg/am/handler.h"
#include "pg/am/index_store.h"
#include "pg/am/opened.h"
#include "pg/am/parallel_build.h"
#include "pg/am/sample.h"
#include "pg/am/segment_writer.h"
#include "pg/am/settings.h"
#include "pg/catalog/keys.h"
#include "pg/catalog/mirror.h"
#include "pg/guard.h"
#include "pg/interrupt.h"
#include "pg/store/build_ledger.h"
#include "pg/worker/mirror_worker.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/index.h"
#include "optimizer/plancat.h"
}

namespace vdb::pg {

namespace {

// Also where memory is short.
constexpr double kLeastSample = 200;
// Rows that are transformed between two looks: some milliseconds.
constexpr size_t kRowsPerInterrupt = 1024;
constexpr uint64_t kSampleSeed = 0x5eed5a3b1e0ull;

void SetPhase(int64 phase) {
  Call([&] { pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase); });
}

/// Where the index keeps its objects.
void ChooseStore(Relation index, const IndexOptions& options, MetaPage* meta) {
  meta->server = StoreServerFor(index);
  meta->store =
      static_cast<uint8_t>(OidIsValid(meta->server) ? StoreKind::kRemote : StoreKind::kLocal);
  meta->store_vectors = options.store_vectors == static_cast<int>(BoolOption::kSetting)
                            ? OidIsValid(meta->server)
                            : options.store_vectors == static_cast<int>(BoolOption::kOn);
  if (!OidIsValid(meta->server)) return;
  BuilderId();
  meta->incarnation = GetSystemIdentifier();
  meta->database = MyDatabaseId;
}

/// Whether the mirror has rows of what is rebuilt. (A new index has none, and a concurrent build
/// should look at no other table.)
bool WasMirrored(Relation index) {
  const Oid oid = RelationGetRelid(index);
  return ReindexIsProcessingIndex(oid) && MirroredManifest(oid) != nullptr;
}

/// What an index on this column is, before it has any rows.
MetaPage NewMeta(Relation index, const OpclassInfo& opclass) {
  const int32 dim = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
  if (dim < 1) {
    ereport(
        ERROR,
        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column does not have dimensions"),
         errhint("Give it some, as in ALTER TABLE ... ALTER COLUMN ... TYPE vector(3), or index "
                 "an expression, as in ((embedding::vector(3))).")));
  }
  const IndexOptions options = OptionsOf(index);
  MetaPage meta = {};
  meta.magic = kMetaMagic;
  meta.format_version = kFormatVersion;
  meta.metric = static_cast<uint8_t>(opclass.metric);
  meta.element = static_cast<uint8_t>(opclass.element);
  meta.code_bits = static_cast<uint8_t>(CodeBitsFor(dim, options.code_bits));
  meta.encrypted = options.encrypt_at_rest == static_cast<int>(BoolOption::kSetting)
                       ? settings.encrypt_at_rest
                       : options.encrypt_at_rest == static_cast<int>(BoolOption::kOn);
  ChooseStore(index, options, &meta);
  meta.dim = static_cast<uint32_t>(dim);
  meta.chunk_size =
      static_cast<uint32_t>(options.chunk_size < 0 ? settings.chunk_size : options.chunk_size);
  meta.lists_option = static_cast<uint32_t>(options.lists);
  meta.generation = 1;
  meta.parameters = meta.directory = meta.free_list = meta.intent = InvalidBlockNumber;
  meta.next_segment = 1;
  meta.recall_target = static_cast<float>(settings.recall_target);
  for (DeltaStripe& stripe : meta.stripes) stripe = {InvalidBlockNumber, InvalidBlockNumber, 0};
  return meta;
}

class Builder {
 public:
  Builder(Relation heap, Relation index, IndexInfo* info)
      : heap_(heap), index_(index), info_(info) {}

  void Run(IndexBuildResult* result);
  /// The init fork of an unlogged index: an empty index, logged.
  void RunEmpty();

 private:
  size_t SampleCapacity(uint32_t padded_dim);
  index::Space MakeSpace(const Sample& sample);
  void BuildDelta(const index::Space& space);
  void BuildSegment(const index::Space& space, Sample sample);
  void MakeKey();
  void LeaveEmpty();
  void WriteMeta(ForkNumber fork);

  Relation heap_, index_;
  IndexInfo* info_;
  const OpclassInfo* opclass_ = nullptr;
  MetaPage meta_ = {};
  quant::CodeLayout layout_ = {};
  HeldKey data_key_;
  double heap_rows_ = 0;
  uint64_t index_rows_ = 0;
};

/// Rows to sample: enough for every list, as far as maintenance_work_mem goes.
size_t Builder::SampleCapacity(uint32_t padded_dim) {
  const double rows = Call([&] {
    BlockNumber pages;
    double tuples, all_visible;
    estimate_rel_size(heap_, nullptr, &pages, &tuples, &all_visible);
    return tuples;
  });
  const double lists = meta_.lists_option > 0 ? meta_.lists_option : rows / index::kRowsPerList;
  const double fit = maintenance_work_mem * 1024.0 * kSampleShare / (padded_dim * sizeof(float));
  return static_cast<size_t>(std::max(std::min(WantedSample(lists), fit), kLeastSample));
}

/// A fresh rotation and the sample's mean in rotated space. Transforms nothing yet.
index::Space Builder::MakeSpace(const Sample& sample) {
  uint64_t seed = 0;
  ThrowIfError(crypto::RandomBytes({reinterpret_cast<uint8_t*>(&seed), sizeof(seed)}));
  quant::Rotation rotation = quant::Rotation::Random(meta_.dim, seed);
  const std::vector<float> zeros(layout_.dim);
  const index::Space uncentred(opclass_->metric, rotation, zeros);
  std::vector<double> sum(layout_.dim);
  AlignedBuffer<float> row(layout_.dim);
  size_t n = 0;
  for (size_t i = 0; i < sample.size(); i++) {
    if (i % kRowsPerInterrupt == 0) Call([] { CHECK_FOR_INTERRUPTS(); });
    if (!uncentred.Data(sample.row(i), row.data())) continue;
    for (uint32_t j = 0; j < layout_.dim; j++) sum[j] += row[j];
    n++;
  }
  std::vector<float> mean(layout_.dim);
  for (uint32_t j = 0; j < layout_.dim && n > 0; j++) {
    mean[j] = static_cast<float>(sum[j] / static_cast<double>(n));
  }
  return {opclass_->metric, std::move(rotation), mean};
}

void Builder::Run(IndexBuildResult* result) {
  opclass_ = Call([&] { return &OpclassOf(index_); });
  meta_ = Call([&] {
    if (RelationGetNumberOfBlocks(index_) != 0) {
      elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index_));
    }
    return NewMeta(index_, *opclass_);
  });
  layout_ = {quant::PaddedDim(meta_.dim), meta_.code_bits};

  // Block 0 is taken first and written last.
  Call([&] {
    Buffer buffer = NewBuffer(index_, MAIN_FORKNUM, nullptr);
    UnlockReleaseBuffer(buffer);
  });
  SetPhase(kPhaseSample);
  Sample sample = SampleTable(heap_, index_, info_, *opclass_, meta_.dim, layout_.dim,
                              SampleCapacity(layout_.dim), kSampleSeed);
  heap_rows_ = sample.heap_rows;
  const index::Space space = MakeSpace(sample);
  const std::vector<uint8_t> parameters = SerializeParameters(space);
  meta_.parameters = Call([&] {
    return WriteChain(index_, MAIN_FORKNUM, WriteMode::kBuild, PageKind::kParameters,
                      parameters.data(), parameters.size());
  });
  meta_.mean_unset = sample.rows == 0;
  if (sample.rows < kMinTrainedRows || sample.size() == 0) {
    BuildDelta(space);
  } else {
    BuildSegment(space, std::move(sample));
  }
  WriteMeta(MAIN_FORKNUM);
  Call([&] {
    if (RelationNeedsWAL(index_)) {
      log_newpage_range(index_, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index_), true);
    }
    if (meta_.manifest.bytes != 0 || WasMirrored(index_)) {
      MirrorAfterCommit(RelationGetRelid(index_));
    }
  });
  result->heap_tuples = heap_rows_;
  result->index_tuples = static_cast<double>(index_rows_);
}

void Builder::RunEmpty() {
  opclass_ = Call([&] { return &OpclassOf(index_); });
  meta_ = Call([&] { return NewMeta(index_, *opclass_); });
  layout_ = {quant::PaddedDim(meta_.dim), meta_.code_bits};
  Call([&] {
    Buffer buffer = NewBuffer(index_, INIT_FORKNUM, nullptr);
    UnlockReleaseBuffer(buffer);
  });
  const std::vector<uint8_t> parameters = SerializeParameters(MakeSpace({}));
  meta_.parameters = Call([&] {
    return WriteChain(index_, INIT_FORKNUM, WriteMode::kBuild, PageKind::kParameters,
                      parameters.data(), parameters.size());
  });
  meta_.mean_unset = 1;
  WriteMeta(INIT_FORKNUM);
  Call([&] {
    log_newpage_range(index_, INIT_FORKNUM, 0,
                      RelationGetNumberOfBlocksInFork(index_, INIT_FORKNUM), true);
  });
}

void Builder::WriteMeta(ForkNumber fork) {
  Call([&] {
    Buffer buffer = ReadBufferExtended(index_, fork, kMetaBlock, RBM_NORMAL, nullptr);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    InitMetaPage(BufferGetPage(buffer), meta_);
    MarkBufferDirty(buffer);
    UnlockReleaseBuffer(buffer);
  });
}

/// The rows that were sampled have gone since, as a concurrent build's second snapshot or the end
/// of an old transaction may show: an index without segments, and the sample's mean to begin with.
void Builder::LeaveEmpty() {
  std::memset(meta_.uuid, 0, sizeof(meta_.uuid));
  meta_.wrapped_key = {};
}

/// Few rows: all go to the delta.
void Builder::BuildDelta(const index::Space& space) {
  struct State {
    const OpclassInfo* opclass;
    const index::Space* space;
    quant::Encoder encoder;
    DeltaBuilder delta;
    AlignedBuffer<float> raw, vector, zero;
    std::vector<char> row;
    uint64_t rows = 0;
  };
  State state{opclass_,
              &space,
              quant::Encoder(layout_, space.estimator()),
              DeltaBuilder(index_, &meta_, DeltaRowBytes(layout_)),
              AlignedBuffer<float>(meta_.dim),
              AlignedBuffer<float>(layout_.dim),
              AlignedBuffer<float>(layout_.dim),
              std::vector<char>(DeltaRowBytes(layout_))};
  const auto add = [](Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
    if (isnull[0]) return;
    auto& s = *static_cast<State*>(arg);
    void* copy;
    const Elements elements = ViewElements(*s.opclass, values[0], &copy);
    if (elements.dim == s.space->dim() &&
        s.space->Data(AsFloats(elements, s.raw.data()), s.vector.data())) {
      std::memcpy(s.row.data(), tid, sizeof(*tid));
      s.encoder.EncodeFirst(s.vector.data(), s.zero.data(),
                            reinterpret_cast<uint8_t*>(s.row.data()) + sizeof(*tid));
      s.delta.Append(s.row.data());
      s.rows++;
    }
    if (copy != nullptr) pfree(copy);
  };
  SetPhase(kPhaseEncode);
  Call([&] {
    heap_rows_ = table_index_build_scan(heap_, index_, info_, true, true, add, &state, nullptr);
    state.delta.Finish();
  });
  index_rows_ = state.rows;
  // A concurrent build scans under a later snapshot than it samples, and may find the first rows.
  meta_.mean_unset = index_rows_ == 0;
}

/// The index's first object is coming: it gets its uuid and, encrypted, its data key.
void Builder::MakeKey() {
  Result<crypto::Uuid> uuid = crypto::RandomUuid();
  ThrowIfError(uuid.status());
  std::memcpy(meta_.uuid, uuid->data(), sizeof(meta_.uuid));
  if (!meta_.encrypted) return;
  ThrowIfError(MakeDataKey(RelationGetRelationName(index_), *uuid, &data_key_, &meta_.wrapped_key));
}

void Builder::BuildSegment(const index::Space& space, Sample sample) {
  MakeKey();
  SetPhase(kPhaseTrain);
  // The reservoir's members are in no order that matters: the last ones ask, the others train.
  const size_t n_queries = std::min(kCalibrationQueries, std::max<size_t>(sample.size() / 10, 1));
  const size_t n_train = std::max<size_t>(sample.size() - n_queries, 1);
  const size_t first_query = sample.size() - n_queries;
  float* const queries = sample.row(first_query);
  for (size_t i = 1; i < n_queries; i++) {
    std::memmove(queries + i * meta_.dim, sample.row(first_query + i), meta_.dim * sizeof(float));
  }
  index::Calibrator calibrator(
      space, layout_, std::span<const float>(queries, n_queries * meta_.dim),
      std::span<const uint64_t>(sample.tids.data() + first_query, n_queries), sample.norm_sq_limit);
  // In place: the sample is what a build with many dimensions has the least room for.
  AlignedBuffer<float> point(layout_.dim);
  for (size_t i = 0; i < n_train; i++) {
    if (i % kRowsPerInterrupt == 0) Call([] { CHECK_FOR_INTERRUPTS(); });
    space.Data(sample.row(i), point.data());
    std::memcpy(sample.row(i), point.data(), layout_.dim * sizeof(float));
  }
  index::TrainOptions train;
  train.lists = meta_.lists_option > 0 ? meta_.lists_option : index::AutomaticLists(sample.rows);
  train.seed = kSampleSeed;
  train.poll = kCancelPoll;
  Result<index::Centroids> trained = index::Train(
      std::span<const float>(sample.vectors.data(), n_train * layout_.dim), layout_.dim, train);
  ThrowIfError(trained.status());
  const index::Centroids centroids = std::move(trained).value();
  sample = {};

  auto assigner = std::make_unique<const index::Assigner>(centroids);
  const quant::Encoder encoder(layout_, space.estimator());
  const uint32_t vector_bytes = VectorBytesOf(meta_);
  const auto chunk_bytes = static_cast<uint32_t>(
      std::min<size_t>(MaxChunkBytes(maintenance_work_mem),
                       meta_.chunk_size * (layout_.row_bytes() + vector_bytes)));
  const EncodeContext context{opclass_,
                              &space,
                              &centroids,
                              assigner.get(),
                              &encoder,
                              static_cast<uint32_t>(n_queries),
                              WriteBytes(chunk_bytes, !IsLocal(meta_), maintenance_work_mem),
                              vector_bytes};
  index::Calibrator* const l1 = opclass_->metric == Metric::kL1 ? &calibrator : nullptr;

  SetPhase(kPhaseEncode);
  Call([&] {
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(heap_rows_));
  });
  // Before the table is read: a store that cannot be had is found out at once.
  const std::unique_ptr<ObjectWriter> objects = NewObjectWriter(index_, meta_, WriteMode::kBuild);
  SortedRows sorted(heap_, index_, info_, context, l1);
  index_rows_ = sorted.rows();

  SetPhase(kPhaseSort);
  assigner.reset();
  sorted.Sort();
  if (index_rows_ == 0) {
    sorted.End();
    objects->Close();
    return LeaveEmpty();
  }

  SetPhase(kPhaseWrite);
  SegmentShape shape = {};
  std::memcpy(shape.uuid.data(), meta_.uuid, shape.uuid.size());
  shape.segment = meta_.next_segment++;
  shape.metric = opclass_->metric;
  shape.element = opclass_->element;
  shape.dim = meta_.dim;
  shape.layout = layout_;
  shape.chunk_rows = meta_.chunk_size;
  shape.encrypted = meta_.encrypted;
  shape.vector_bytes = vector_bytes;
  shape.recall_target = meta_.recall_target;
  shape.max_chunk_bytes = MaxChunkBytes(maintenance_work_mem);
  SegmentWriter writer(index_, WriteMode::kBuild, shape, objects.get(),
                       meta_.encrypted ? &data_key_.key() : nullptr, centroids, &calibrator,
                       kCancelPoll);
  uint32_t list;
  SortedRow row;
  const uint8_t* code;
  uint64_t written = 0;
  while (sorted.Next(&list, &row, &code)) {
    writer.Add(list, row, code);
    if (++written % 1024 == 0) {
      objects->Progress();
      Call([&] {
        CHECK_FOR_INTERRUPTS();
        pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(written));
      });
    }
  }
  sorted.End();
  std::vector<SegmentEntry> segments;
  segments.push_back(writer.Finish());
  const std::vector<uint8_t> directory = SerializeDirectory(segments);
  meta_.directory = Call([&] {
    return WriteChain(index_, MAIN_FORKNUM, WriteMode::kBuild, PageKind::kDirectory,
                      directory.data(), directory.size());
  });
  meta_.segment_rows = segments[0].header.n_rows;
  meta_.segment_lists = segments[0].header.n_lists;
  meta_.mean_lists = writer.calibration().mean_lists;
  meta_.mean_rows = writer.calibration().mean_rows;
  objects->Publish(segments, &meta_);
}

}  // namespace
}  // namespace vdb::pg

extern "C" IndexBuildResult* vdb_am_build(Relation heap, Relation index, IndexInfo* info) {
  auto* result = static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
  vdb::pg::Entry("vdb_am_build", [&] { vdb::pg::Builder(heap, index, info).Run(result); });
  return result;
}

extern "C" void vdb_am_buildempty(Relation index) {
  vdb::pg::Entry("vdb_am_buildempty",
                 [&] { vdb::pg::Builder(nullptr, index, nullptr).RunEmpty(); });
}
