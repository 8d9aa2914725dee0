/// aminsert: a fresh row goes to the delta as TID and 1-bit code about the mean. No store, no key,
/// no centroid.
#include "pg/am/chain.h"
#include "pg/am/delta.h"
#include "pg/am/handler.h"
#include "pg/am/opened.h"
#include "pg/am/opclass.h"
#include "pg/guard.h"
#include "quant/rabitq.h"

namespace vdb::pg {

namespace {

/// Buffers of an insert, kept from row to row.
struct InsertBuffers {
  AlignedBuffer<float> raw, vector, zero;
  std::vector<char> row;
};

InsertBuffers& Buffers() {
  static InsertBuffers& buffers = *new InsertBuffers;
  return buffers;
}

/// Points the metapage at parameters that begin at `chain`, if no other inserter has been faster.
void PublishMean(Relation index, BlockNumber chain) {
  Buffer buffer = ReadBuffer(index, kMetaBlock);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  CheckPage(index, buffer, PageKind::kMeta, 0);
  if (MetaOf(BufferGetPage(buffer))->mean_unset) {
    GenericXLogState* state = GenericXLogStart(index);
    MetaPage* meta = MetaOf(GenericXLogRegisterBuffer(state, buffer, 0));
    meta->parameters = chain;
    meta->mean_unset = 0;
    GenericXLogFinish(state);
  }
  UnlockReleaseBuffer(buffer);
}

/// The first row of an index that was built on none: its vector becomes the mean, since data far
/// from the origin would make the bounds of codes about zero useless. False: the vector is not one
/// that the index holds.
bool SetMean(Relation index, const OpenedIndex& opened, const float* vector) {
  AlignedBuffer<float> mean(opened.layout().dim);
  if (!opened.space().Data(vector, mean.data())) return false;
  const index::Space space(opened.space().metric(), opened.space().rotation(), mean.span());
  const std::vector<uint8_t> bytes = SerializeParameters(space);
  Call([&] {
    PublishMean(index, WriteChain(index, MAIN_FORKNUM, WriteMode::kLogged, PageKind::kParameters,
                                  bytes.data(), bytes.size()));
  });
  return true;
}

void Insert(Relation index, Datum value, const ItemPointerData& tid) {
  const OpclassInfo& opclass = *Call([&] { return &OpclassOf(index); });
  void* copy = nullptr;
  const Elements elements = Call([&] { return ViewElements(opclass, value, &copy); });
  MetaPage meta = Call([&] { return ReadMeta(index); });
  if (elements.dim != meta.dim) {
    Call([&] {
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                      errmsg("expected %u dimensions, not %u", meta.dim, elements.dim)));
    });
  }
  std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(index, meta);
  if (meta.mean_unset) {
    AlignedBuffer<float> raw(meta.dim);
    if (SetMean(index, *opened, AsFloats(elements, raw.data()))) {
      meta = Call([&] { return ReadMeta(index); });
      opened = OpenedIndex::Get(index, meta);
    }
  }
  const quant::CodeLayout& layout = opened->layout();
  InsertBuffers& buffers = Buffers();
  buffers.raw.Reset(meta.dim);
  buffers.vector.Reset(layout.dim);
  buffers.zero.Reset(layout.dim);
  buffers.row.resize(DeltaRowBytes(layout));
  if (opened->space().Data(AsFloats(elements, buffers.raw.data()), buffers.vector.data())) {
    std::memcpy(buffers.row.data(), &tid, sizeof(tid));
    const quant::Encoder encoder(layout, opened->space().estimator());
    encoder.EncodeFirst(buffers.vector.data(), buffers.zero.data(),
                        reinterpret_cast<uint8_t*>(buffers.row.data()) + sizeof(tid));
    Call([&] { DeltaAppend(index, buffers.row.data(), DeltaRowBytes(layout)); });
  }
  if (copy != nullptr) Call([&] { pfree(copy); });
}

}  // namespace
}  // namespace vdb::pg

extern "C" bool vdb_am_insert(Relation index, Datum* values, bool* isnull, ItemPointer tid,
                              Relation, IndexUniqueCheck, bool, IndexInfo*) {
  if (isnull[0]) return false;
  vdb::pg::Entry("vdb_am_insert", [&] { vdb::pg::Insert(index, values[0], *tid); });
  return false;
}
