#include "pg/am/estimate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "format/geometry.h"
#include "format/routing_object.h"
#include "format/shape.h"
#include "index/routing.h"
#include "index/trainer.h"
#include "pg/am/build_rules.h"
#include "pg/am/delta.h"
#include "pg/am/directory.h"
#include "pg/am/settings.h"
#include "pg/am/tid_page.h"
#include "pg/catalog/store_server.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/type/vector.h"
#include "quant/rotation.h"

extern "C" {
#include "foreign/foreign.h"
}

namespace vdb::pg {

namespace {

// A list ends anywhere in its last block of 32 with the same chance.
constexpr double kMeanPadding = (quant::kBlockVectors - 1) / 2.0;
// What a sorted item takes beside its code: tuple header, list number, TID and residual, sort slot.
constexpr double kSortItemBytes = 96;
// Slots of a segment are numbered in 32 bits.
constexpr int64 kMaxEstimatedRows = 4000000000;

double Ceil(double value, double unit) { return std::ceil(value / unit); }

double StoredBytes(double plain_bytes) {
  return plain_bytes + format::kFrameTagBytes * Ceil(plain_bytes, format::kFrameBytes);
}

/// Lists and how many of them go to a chunk.
struct Shape {
  double lists, rows_per_list, slots, chunks;
};

Shape ShapeOf(const EstimateInput& input, const quant::CodeLayout& layout) {
  Shape shape = {};
  const double rows = static_cast<double>(input.rows);
  const double asked = input.lists > 0 ? input.lists : index::AutomaticLists(input.rows);
  // No more lists than points to train them on, and long ones are cut.
  shape.lists = std::min(asked, rows);
  shape.lists *= Ceil(rows / shape.lists, MaxListRows(layout.row_bytes() + input.vector_bytes));
  shape.rows_per_list = rows / shape.lists;
  shape.slots =
      shape.lists * std::max(shape.rows_per_list + kMeanPadding, double{quant::kBlockVectors});
  // A chunk is closed by the list that does not fit: half a list stays unused, about. Lists differ
  // in length, so that one met at random is longer than the mean.
  const double bytes_per_row =
      shape.slots / rows * static_cast<double>(layout.block_bytes()) / quant::kBlockVectors +
      static_cast<double>(layout.ex_record_bytes() + input.vector_bytes);
  const double limit = std::min<double>(input.chunk_rows, input.max_chunk_bytes / bytes_per_row);
  const double used = std::max(limit - 0.75 * shape.rows_per_list, shape.rows_per_list);
  shape.chunks = Ceil(rows, used);
  return shape;
}

/// Few rows: they all stay in the delta.
void EstimateDelta(const EstimateInput& input, const quant::CodeLayout& layout, Estimate* out) {
  const uint32_t per_page = DeltaRowsPerPage(DeltaRowBytes(layout));
  out->index_bytes += BLCKSZ * Ceil(static_cast<double>(input.rows), per_page);
  out->first_pass_bytes = static_cast<double>(input.rows * DeltaRowBytes(layout));
}

void EstimateSegment(const EstimateInput& input, const quant::CodeLayout& layout, Estimate* out) {
  const double rows = static_cast<double>(input.rows);
  const Shape shape = ShapeOf(input, layout);
  out->lists = shape.lists;
  out->objects = shape.chunks + 1;
  const double a_bytes =
      shape.slots * static_cast<double>(layout.block_bytes()) / quant::kBlockVectors;
  const double b_bytes = rows * static_cast<double>(layout.ex_record_bytes());
  const double c_bytes = rows * input.vector_bytes;
  const double gaps = input.vector_bytes > 0 ? 2 * format::kRegionBGap : format::kRegionBGap;
  const double chunk_bytes = (a_bytes + b_bytes + c_bytes + 4 * shape.lists) / shape.chunks +
                             format::kRegionAOffset + gaps;
  // Centroids; scale, radius and rows of each list; lists of each chunk.
  out->routing_bytes =
      format::kCentroidsOffset + shape.lists * (layout.dim + 12.0) + 4 * shape.chunks + 64;
  const double directory = sizeof(DirectoryHeader) + sizeof(SegmentHeader) +
                           out->objects * (sizeof(ObjectHeader) + 2 * sizeof(Extent)) +
                           4 * shape.lists;
  const double chunk_stored = StoredBytes(chunk_bytes);
  const double routing_stored = StoredBytes(out->routing_bytes);
  double pages = shape.chunks * Ceil(shape.slots / shape.chunks, kTidSlotsPerPage) +
                 Ceil(shape.lists, kDeadCountsPerPage) + Ceil(directory, kPagePayload);
  if (input.remote) {
    out->store_bytes = shape.chunks * chunk_stored + routing_stored;
  } else {
    pages += shape.chunks * Ceil(chunk_stored, kPagePayload) + Ceil(routing_stored, kPagePayload);
  }
  out->index_bytes += pages * BLCKSZ;
  out->first_pass_bytes =
      a_bytes + static_cast<double>(index::RoutingImageBytes(
                    static_cast<uint32_t>(std::min(shape.lists, 4e9)), layout.dim));
}

/// Sampling and training come first; then centroids in three forms beside the sort.
double BuildMemory(const EstimateInput& input, const quant::CodeLayout& layout) {
  const double asked = input.lists > 0 ? input.lists : index::AutomaticLists(input.rows);
  const double sample = std::min(WantedSample(asked), static_cast<double>(input.rows));
  const double training = sample * 4.0 * layout.dim / kSampleShare;
  const double sorting =
      static_cast<double>(input.rows) *
          (static_cast<double>(layout.row_bytes() + input.vector_bytes) + kSortItemBytes) +
      3 * asked * 4.0 * layout.dim;
  return std::max(training, sorting);
}

}  // namespace

Estimate EstimateIndex(const EstimateInput& input) {
  const quant::CodeLayout layout = {quant::PaddedDim(input.dim), input.code_bits};
  Estimate estimate = {};
  const double parameters =
      layout.dim * sizeof(float) + static_cast<double>(quant::RotationSignWords(layout.dim) * 8);
  estimate.index_bytes = BLCKSZ * (1 + Ceil(parameters, kPagePayload));
  estimate.insert_bytes =
      std::ceil(static_cast<double>(BLCKSZ) / DeltaRowsPerPage(DeltaRowBytes(layout)));
  if (input.rows < kMinTrainedRows) {
    EstimateDelta(input, layout, &estimate);
  } else {
    EstimateSegment(input, layout, &estimate);
  }
  estimate.build_memory_bytes = BuildMemory(input, layout);
  return estimate;
}

}  // namespace vdb::pg

namespace vdb::pg {
namespace {

/// Whether the store of that name is a remote one. ereports unless the current user may use it.
bool IsRemoteStore(const char* name) {
  if (std::strcmp(name, kLocalStore) == 0) return false;
  RequireUsableStore(get_foreign_server_oid(name, false), GetUserId(), Usage::kRequired);
  return true;
}

uint32_t VectorBytes(int32 dim, const char* element) {
  const bool whole = std::strcmp(element, NameOf(ElementType::kFloat32)) == 0;
  return format::VectorBytes(static_cast<uint32_t>(dim),
                             whole ? ElementType::kFloat32 : ElementType::kFloat16);
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_estimate) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  constexpr int kStore = 5, kStoreVectors = 6;
  for (int i = 0; i <= kStore; i++) {
    if (PG_ARGISNULL(i)) PG_RETURN_NULL();
  }
  const int64 rows = PG_GETARG_INT64(0);
  const int32 dim = PG_GETARG_INT32(1);
  const int32 bits = PG_GETARG_INT32(2);
  const char* const element = text_to_cstring(PG_GETARG_TEXT_PP(3));
  const int32 lists = PG_GETARG_INT32(4);
  const auto require = [](bool holds, const char* what) {
    if (!holds) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", what)));
  };
  require(rows >= 0 && rows <= kMaxEstimatedRows, "rows must be between 0 and 4000000000");
  require(dim >= 1 && dim <= kMaxDim, "dims must be between 1 and 16000");
  require(bits >= 1 && bits <= 8, "code_bits must be between 1 and 8");
  require(lists >= 0 && lists <= kMaxLists, "lists must be between 0 and 1000000");
  require(std::strcmp(element, "vector") == 0 || std::strcmp(element, "halfvec") == 0,
          "element must be vector or halfvec");

  const bool remote = IsRemoteStore(NameStr(*PG_GETARG_NAME(kStore)));
  // Left alone, it is as CREATE INDEX has it.
  const bool vectors = PG_ARGISNULL(kStoreVectors) ? remote : PG_GETARG_BOOL(kStoreVectors);
  const uint32_t vector_bytes = vectors ? VectorBytes(dim, element) : 0;
  const Estimate estimate = Entry("vdb_estimate", [&] {
    return EstimateIndex({static_cast<uint64_t>(rows), static_cast<uint32_t>(dim),
                          static_cast<uint32_t>(CodeBitsFor(dim, bits)),
                          static_cast<uint32_t>(lists), static_cast<uint32_t>(settings.chunk_size),
                          MaxChunkBytes(maintenance_work_mem), remote, vector_bytes});
  });
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "return type must be a row type");
  }
  const auto number = [](double n) { return Int64GetDatum(std::llround(n)); };
  Datum values[] = {number(estimate.index_bytes),
                    number(estimate.first_pass_bytes),
                    number(estimate.routing_bytes),
                    number(estimate.build_memory_bytes),
                    number(estimate.lists),
                    number(estimate.objects),
                    Int32GetDatum(static_cast<int32>(estimate.insert_bytes)),
                    number(estimate.store_bytes)};
  bool nulls[lengthof(values)] = {};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
