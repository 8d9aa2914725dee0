#include "pg/am/scan.h"

#include <algorithm>

#include "base/clock.h"
#include "pg/am/buffer.h"
#include "pg/am/delta.h"
#include "pg/am/handler.h"
#include "pg/am/settings.h"
#include "pg/am/tid_walk.h"
#include "pg/guard.h"
#include "pg/interrupt.h"

namespace vdb::pg {

namespace {

LastSearch last_search;

// Rows that the first round of a search looks for. The executor does not tell how many it wants;
// ten is what most queries ask for, and a second round costs less than looking for too many at
// once.
constexpr uint32_t kFirstRows = 10;
// A rescan starts with what the one before it returned, up to this.
constexpr uint32_t kMaxFirstRows = 1000;
// Vectors of chunks that are read together: most searches of an index with the usual code bits
// compare no more than the first number. Then twice as many, so that a search which compares many,
// as it does where a code has one bit, waits for a remote store two or three times.
constexpr size_t kFirstVectors = 16, kMostVectors = 32;
// Exact distances that most searches of ten make do with, of which kMoreRows are read ahead in one
// go after the first ten. A search that goes on has more read ahead.
constexpr uint32_t kMostRows = 18;
constexpr uint32_t kMoreRows = 4;

/// Adds to a search's use what the session counts while this lives.
class Metered {
 public:
  explicit Metered(SearchUse* use)
      : use_(use), cache_(FrameCache::Use()), remote_(GetRemoteReads()) {}
  ~Metered() {
    const CacheUse cache = FrameCache::Use();
    const RemoteReads& remote = GetRemoteReads();
    use_->cache.hits += cache.hits - cache_.hits;
    use_->cache.misses += cache.misses - cache_.misses;
    use_->cache.fetch_ns += cache.fetch_ns - cache_.fetch_ns;
    use_->remote.rounds += remote.rounds - remote_.rounds;
    use_->remote.requests += remote.requests - remote_.requests;
    use_->remote.bytes += remote.bytes - remote_.bytes;
  }
  Metered(const Metered&) = delete;
  Metered& operator=(const Metered&) = delete;

 private:
  SearchUse* use_;
  CacheUse cache_;
  RemoteReads remote_;
};

/// Adds the time from the first exact distance of a call to the call's end, without what scanning
/// takes of it: the clock is read twice a call and not twice a row, and not at all by a call that
/// only hands out a row.
class ExactTime {
 public:
  ExactTime(const index::SearchStats& stats, int64_t* total) : stats_(stats), total_(total) {}
  ~ExactTime() {
    if (start_ns_ != 0) *total_ += NowNs() - start_ns_ - (stats_.scan_ns - scan_ns_);
  }
  ExactTime(const ExactTime&) = delete;
  ExactTime& operator=(const ExactTime&) = delete;
  void Begin() {
    if (start_ns_ != 0) return;
    start_ns_ = NowNs();
    scan_ns_ = stats_.scan_ns;
  }

 private:
  const index::SearchStats& stats_;
  int64_t* total_;
  int64_t start_ns_ = 0, scan_ns_ = 0;
};

}  // namespace

const LastSearch& GetLastSearch() { return last_search; }

IndexScan::IndexScan(IndexScanDesc scan)
    : scan_(scan),
      index_(scan->indexRelation),
      opclass_(Call([&] { return &OpclassOf(index_); })),
      heap_rows_(scan, *opclass_) {}

IndexScan::~IndexScan() {
  routing_pins_.Release();
  if (searcher_ != nullptr && opened_ != nullptr) opened_->ReturnSearcher(std::move(searcher_));
}

/// Keeps the figures of the search that ends here.
void IndexScan::Remember() noexcept {
  if (!started_ || query_null_ || searcher_ == nullptr) return;
  last_search = {RelationGetRelid(index_), searcher_->stats(), returned_, use_, Times()};
}

SearchTimes IndexScan::Times() const {
  SearchTimes times = times_;
  times.scanning_ns += searcher_->stats().scan_ns - (use_.cache.fetch_ns - times_.fetching_ns);
  times.scanning_ns += exact_fetch_ns_;
  times.exact_ns -= exact_fetch_ns_;
  times.fetching_ns = use_.cache.fetch_ns;
  return times;
}

void IndexScan::Rescan(Datum query, bool isnull) {
  Remember();
  previous_rows_ = static_cast<uint32_t>(std::min<uint64_t>(returned_, kMaxFirstRows));
  returned_ = 0;
  ahead_ = 0;
  vector_batch_ = kFirstVectors;
  exact_read_ = 0;
  use_ = {};
  times_ = {};
  exact_fetch_ns_ = 0;
  started_ = false;
  query_null_ = isnull;
  all_rows_.reset();
  unordered_ = {};
  next_unordered_ = 0;
  if (isnull) return;
  void* copy = nullptr;
  const Elements elements = Call([&] { return ViewElements(*opclass_, query, &copy); });
  query_.Reset(elements.dim);
  const float* floats = AsFloats(elements, query_.data());
  if (floats != query_.data()) {
    std::memcpy(query_.data(), floats, sizeof(float) * elements.dim);
  }
  if (copy != nullptr) Call([&] { pfree(copy); });
}

/// Opens the index as it is now, which is after the snapshot was taken, and feeds the searcher.
void IndexScan::Start() {
  const int64_t start_ns = NowNs(), fetched_ns = FrameCache::Use().fetch_ns;
  const MetaPage meta = Call([&] {
    if (!IsMVCCSnapshot(scan_->xs_snapshot)) {
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("vdb indexes need an MVCC snapshot")));
    }
    pgstat_count_index_scan(index_);
    return ReadMeta(index_);
  });
  if (query_.size() != meta.dim) {
    const char* type = opclass_->element == ElementType::kFloat32 ? "vector" : "halfvec";
    const auto dim = static_cast<int>(query_.size());
    Call([&] { CheckSameDim(type, static_cast<int>(meta.dim), dim); });
  }
  std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(index_, meta);
  if (opened != opened_) {
    readers_.clear();
    chunk_vectors_.clear();
    if (searcher_ != nullptr) opened_->ReturnSearcher(std::move(searcher_));
    opened_ = std::move(opened);
  }
  opened_->OpenSegments(index_);
  opened_->RefreshDead(index_, meta);
  if (searcher_ == nullptr) searcher_ = opened_->TakeSearcher();

  routing_pins_.Release();
  std::vector<OpenedSegment>& segments = opened_->segments();
  routings_.resize(segments.size());
  std::vector<index::SegmentView> views(segments.size());
  readers_.clear();
  chunk_vectors_.clear();
  vector_rows_.clear();
  dead_.clear();
  const bool from_chunks =
      settings.rerank == static_cast<int>(Rerank::kChunk) && meta.store_vectors != 0;
  for (size_t i = 0; i < segments.size(); i++) {
    dead_.push_back(segments[i].dead);
    routings_[i] = opened_->PinRouting(index_, i, &routing_pins_);
    readers_.push_back(std::make_unique<IndexSegmentReader>(
        index_, opened_->meta(), segments[i].entry,
        std::span<const index::ListEntry>(routings_[i].lists, routings_[i].n_lists),
        dead_[i] == nullptr ? std::span<const uint32_t>() : std::span<const uint32_t>(*dead_[i]),
        opened_->keys()));
    views[i] = {&routings_[i], readers_[i].get()};
    if (from_chunks) {
      chunk_vectors_.push_back(std::make_unique<ChunkVectors>(
          index_, opened_->meta(), segments[i].entry,
          std::span<const index::ListEntry>(routings_[i].lists, routings_[i].n_lists),
          opened_->keys()));
    }
  }
  index::SearchOptions options;
  options.first_k = std::max(kFirstRows, previous_rows_);
  options.probes = static_cast<uint32_t>(settings.probes);
  options.relaxed_order = settings.iterative_scan == static_cast<int>(IterativeScan::kRelaxedOrder);
  options.poll = kCancelPoll;
  searcher_->Begin(views, query_.data(), options);
  const int64_t ranked_ns = NowNs();
  times_.fetching_ns = FrameCache::Use().fetch_ns - fetched_ns;
  times_.ranking_ns = ranked_ns - start_ns - times_.fetching_ns;
  AddDelta(meta);
  times_.scanning_ns = NowNs() - ranked_ns;
  started_ = true;
}

void IndexScan::AddDelta(const MetaPage& meta) {
  const uint32_t row_bytes = DeltaRowBytes(opened_->layout());
  char rows[kPagePayload];
  BlockNumber known_blocks = 0;
  uint64_t tids[kPagePayload / sizeof(ItemPointerData)];
  for (const DeltaStripe& stripe : meta.stripes) {
    BlockNumber block = stripe.first, pages = 0;
    while (block != InvalidBlockNumber) {
      uint32_t count = 0;
      Call([&] {
        CHECK_FOR_INTERRUPTS();
        Buffer buffer = ReadPage(index_, block, PageKind::kDelta, 0, nullptr, &known_blocks);
        CheckChainLength(index_, block, ++pages, known_blocks);
        Page page = BufferGetPage(buffer);
        const DeltaRows view = ViewDelta(index_, buffer, page, row_bytes);
        count = view.header->count;
        std::memcpy(rows, view.rows, size_t{count} * row_bytes);
        block = SpecialOf(page)->next;
        UnlockReleaseBuffer(buffer);
      });
      for (uint32_t i = 0; i < count; i++) {
        ItemPointerData tid;
        std::memcpy(&tid, rows + size_t{i} * row_bytes, sizeof(tid));
        tids[i] = PackTid(tid);
      }
      searcher_->AddDelta(reinterpret_cast<const uint8_t*>(rows) + sizeof(ItemPointerData),
                          row_bytes, count, tids);
    }
  }
}

ItemPointerData IndexScan::TidOf(index::RowId row, bool* alive) {
  if ((row & index::kDeltaRow) != 0) {
    *alive = true;
    return UnpackTid(row & ~index::kDeltaRow);
  }
  ItemPointerData tid;
  Result<bool> found = readers_[row >> 40]->Tid(static_cast<uint32_t>(row & 0xffffffff), &tid);
  ThrowIfError(found.status());
  *alive = *found;
  return tid;
}

/// Reads ahead `next` and the rows that come after it, in one go: their cache misses, or disk
/// reads, overlap.
void IndexScan::ReadAhead(index::RowId next) {
  if (ahead_ > 0) {
    --ahead_;
    return;
  }
  index::RowId rows[HeapRows::kMaxAhead];
  rows[0] = next;
  const size_t most = exact_read_ == 0          ? kFirstRows
                      : exact_read_ < kMostRows ? kMoreRows
                                                : HeapRows::kMaxAhead;
  ahead_ = searcher_->Upcoming(rows + 1, most - 1);
  const size_t n = 1 + ahead_;
  ReadTids({rows, n});
  ItemPointerData tids[HeapRows::kMaxAhead];
  size_t n_alive = 0;
  for (size_t i = 0; i < n; i++) {
    bool alive;
    tids[n_alive] = TidOf(rows[i], &alive);
    if (alive) n_alive++;
  }
  heap_rows_.ReadAhead({tids, n_alive});
}

/// Looks up the rows' TIDs segment by segment, in the order of their pages.
void IndexScan::ReadTids(std::span<const index::RowId> rows) {
  index::RowId sorted[HeapRows::kMaxAhead];
  index::RowId* const end = std::copy_if(rows.begin(), rows.end(), sorted, [](index::RowId row) {
    return (row & index::kDeltaRow) == 0;
  });
  std::sort(sorted, end);
  for (const index::RowId* row = sorted; row != end;) {
    const uint64_t segment = *row >> 40;
    uint32_t slots[HeapRows::kMaxAhead];
    size_t n = 0;
    for (; row != end && *row >> 40 == segment; ++row) {
      slots[n++] = static_cast<uint32_t>(*row & 0xffffffff);
    }
    readers_[segment]->ReadTids({slots, n});
  }
}

/// The exact distance by the vector in the row's chunk. Whether the snapshot sees the row is then
/// for the executor to find out.
double IndexScan::ChunkDistance(index::RowId row) {
  const size_t vector_bytes = chunk_vectors_[row >> 40]->vector_bytes();
  auto found = std::find(vector_rows_.begin(), vector_rows_.end(), row);
  if (found == vector_rows_.end()) {
    // With those that will be asked for next, so that all that is missing is read at once.
    index::RowId rows[kMostVectors];
    rows[0] = row;
    const size_t n = 1 + searcher_->Upcoming(rows + 1, vector_batch_ - 1);
    vector_batch_ = std::min(2 * vector_batch_, kMostVectors);
    vector_rows_.clear();
    uint32_t slots[kMostVectors];
    for (size_t i = 0; i < n; i++) {
      if ((rows[i] & index::kDeltaRow) != 0 || rows[i] >> 40 != row >> 40) continue;
      slots[vector_rows_.size()] = static_cast<uint32_t>(rows[i]);
      vector_rows_.push_back(rows[i]);
    }
    if (vectors_.size() < vector_rows_.size() * vector_bytes) {
      vectors_.Reset(vector_rows_.size() * vector_bytes);
    }
    const int64_t fetched_ns = FrameCache::Use().fetch_ns;
    ThrowIfError(chunk_vectors_[row >> 40]->Read({slots, vector_rows_.size()}, vectors_.data()));
    exact_fetch_ns_ += FrameCache::Use().fetch_ns - fetched_ns;
    found = vector_rows_.begin();
  }
  const auto place = static_cast<size_t>(found - vector_rows_.begin());
  const Elements elements{opclass_->element, static_cast<uint32_t>(query_.size()),
                          vectors_.data() + place * vector_bytes};
  return ExactDistance(opclass_->metric, query_.data(), elements);
}

bool IndexScan::Next() {
  if (settings.max_scan_tuples >= 0 &&
      returned_ >= static_cast<uint64_t>(settings.max_scan_tuples)) {
    return false;
  }
  if (query_null_) return NextUnordered();
  const Metered metered(&use_);
  if (!started_) Start();
  ExactTime exact(searcher_->stats(), &times_.exact_ns);
  for (;;) {
    index::Searcher::Step step;
    index::RowId row;
    double distance;
    ThrowIfError(searcher_->Next(&step, &row, &distance));
    if (step == index::Searcher::Step::kDone) {
      routing_pins_.Release();
      break;
    }
    bool alive;
    if (step == index::Searcher::Step::kRow) {
      scan_->xs_heaptid = TidOf(row, &alive);
      returned_++;
      return true;
    }
    exact.Begin();
    const bool from_chunk = !chunk_vectors_.empty() && (row & index::kDeltaRow) == 0;
    if (!from_chunk) {
      ReadAhead(row);
      ++exact_read_;
    }
    const ItemPointerData tid = TidOf(row, &alive);
    if (alive && from_chunk) {
      distance = ChunkDistance(row);
    } else if (alive) {
      alive = heap_rows_.Distance(tid, query_.span(), &distance);
    }
    if (alive) {
      searcher_->SetExact(distance);
    } else {
      searcher_->Reject();
    }
  }
  return false;
}

void IndexScan::Finish() {
  Remember();
  routing_pins_.Release();
  heap_rows_.End();
}

bool IndexScan::NextUnordered() {
  if (!started_) {
    const MetaPage meta = Call([&] { return ReadMeta(index_); });
    const std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(index_, meta);
    opened->OpenSegments(index_);
    all_rows_ = std::make_unique<TidCursor>(index_, meta, opened);
    started_ = true;
  }
  if (next_unordered_ == unordered_.size()) {
    unordered_ = all_rows_->Next();
    next_unordered_ = 0;
    if (unordered_.empty()) return false;
  }
  returned_++;
  scan_->xs_heaptid = UnpackTid(unordered_[next_unordered_++]);
  return true;
}

}  // namespace vdb::pg

extern "C" IndexScanDesc vdb_am_beginscan(Relation index, int n_keys, int n_order_bys) {
  IndexScanDesc scan = RelationGetIndexScan(index, n_keys, n_order_bys);
  vdb::pg::Entry("vdb_am_beginscan", [&] {
    scan->opaque = vdb::pg::New<vdb::pg::IndexScan>(CurrentMemoryContext, scan);
  });
  return scan;
}

extern "C" void vdb_am_rescan(IndexScanDesc scan, ScanKey, int, ScanKey order_bys,
                              int n_order_bys) {
  if (scan->numberOfOrderBys == 0) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("vdb indexes are scanned in order of distance only")));
  }
  if (order_bys != nullptr && n_order_bys > 0) {
    memmove(scan->orderByData, order_bys, sizeof(ScanKeyData) * static_cast<size_t>(n_order_bys));
  }
  vdb::pg::Entry("vdb_am_rescan", [&] {
    auto* state = static_cast<vdb::pg::IndexScan*>(scan->opaque);
    const ScanKeyData& key = scan->orderByData[0];
    state->Rescan(key.sk_argument, (key.sk_flags & SK_ISNULL) != 0);
  });
}

extern "C" bool vdb_am_gettuple(IndexScanDesc scan, ScanDirection direction) {
  if (!ScanDirectionIsForward(direction)) {
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("vdb indexes scan forward only")));
  }
  scan->xs_recheck = false;
  scan->xs_recheckorderby = false;
  return vdb::pg::Entry("vdb_am_gettuple",
                        [&] { return static_cast<vdb::pg::IndexScan*>(scan->opaque)->Next(); });
}

extern "C" void vdb_am_endscan(IndexScanDesc scan) {
  vdb::pg::Entry("vdb_am_endscan",
                 [&] { static_cast<vdb::pg::IndexScan*>(scan->opaque)->Finish(); });
}
