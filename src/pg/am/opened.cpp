#include "pg/am/opened.h"

#include <algorithm>

#include "format/routing_object.h"
#include "pg/am/chain.h"
#include "pg/am/inspect.h"
#include "pg/am/opclass.h"
#include "pg/guard.h"

extern "C" {
#include "utils/inval.h"
}

namespace vdb::pg {

namespace {

// A backend that visits more indexes forgets the ones that it has not used for longest. Enough for
// a table of many partitions: some kilobytes each, and their idle searchers.
constexpr size_t kMaxOpened = 1024;
// Idle searchers kept an index: nested loops rarely run more scans of one index at once.
constexpr size_t kMaxIdleSearchers = 4;
// Of all indexes together: each has buffers of up to some megabytes.
constexpr size_t kMaxIdleSearchersInAll = 256;
// Rows that a searcher may have looked at in its last search, and rows of the delta that it may
// have room for, to be kept: some megabytes.
constexpr uint64_t kMaxIdleSurvivors = 100000;
constexpr size_t kMaxIdleDeltaRows = 100000;

size_t idle_searchers = 0;  // of all indexes

struct Registered {
  std::shared_ptr<OpenedIndex> index;
  uint64_t used;  // when: a count of uses
};

using Registry = std::unordered_map<Oid, Registered>;

Registry& OpenedIndexes() {
  static Registry& registry = *new Registry;
  return registry;
}

/// Makes room for one more. What a scan holds is not forgotten: another scan would open it again.
void ForgetLeastRecentlyUsed(Registry* registry) {
  if (registry->size() < kMaxOpened) return;
  auto oldest = registry->end();
  for (auto it = registry->begin(); it != registry->end(); ++it) {
    if (it->second.index.use_count() > 1) continue;
    if (oldest == registry->end() || it->second.used < oldest->second.used) oldest = it;
  }
  if (oldest != registry->end()) registry->erase(oldest);
}

void ForgetRelation(Datum, Oid relation) {
  if (OidIsValid(relation)) {
    OpenedIndexes().erase(relation);
  } else {
    OpenedIndexes().clear();
  }
}

Status DamagedParameters(Relation index) {
  return Corruption(std::string("index \"") + RelationGetRelationName(index) +
                    "\" has damaged parameters");
}

}  // namespace

std::vector<uint8_t> SerializeParameters(const index::Space& space) {
  const auto signs = space.rotation().signs();
  const auto mean = space.mean();
  std::vector<uint8_t> bytes(signs.size_bytes() + mean.size_bytes());
  std::memcpy(bytes.data(), signs.data(), signs.size_bytes());
  std::memcpy(bytes.data() + signs.size_bytes(), mean.data(), mean.size_bytes());
  return bytes;
}

Result<crypto::ObjectCipher> IndexKeys::CipherFor(const ObjectHeader& object) {
  crypto::ObjectNonce nonce;
  std::memcpy(nonce.data(), object.nonce, nonce.size());
  if (!meta_.encrypted) return crypto::ObjectCipher::Unencrypted(nonce);
  if (!data_key_.held()) {
    crypto::Uuid uuid;
    std::memcpy(uuid.data(), meta_.uuid, uuid.size());
    VDB_RETURN_IF_ERROR(OpenDataKey(name_, uuid, meta_.wrapped_key, &data_key_));
  }
  return crypto::ObjectCipher::Encrypted(data_key_.key(), nonce);
}

std::shared_ptr<OpenedIndex> OpenedIndex::Get(Relation index, const MetaPage& meta) {
  static const bool registered = [] {
    Call([] { CacheRegisterRelcacheCallback(ForgetRelation, 0); });
    return true;
  }();
  (void)registered;
  Registry& registry = OpenedIndexes();
  static uint64_t uses = 0;
  const Oid oid = RelationGetRelid(index);
  if (auto found = registry.find(oid); found != registry.end()) {
    found->second.used = ++uses;
    if (found->second.index->Describes(index, meta)) return found->second.index;
    registry.erase(found);
  }
  std::shared_ptr<OpenedIndex> opened(new OpenedIndex(index, meta));
  ForgetLeastRecentlyUsed(&registry);
  registry[oid] = {opened, ++uses};
  return opened;
}

bool OpenedIndex::Describes(Relation index, const MetaPage& meta) const {
  return compat::SameLocator(locator_, compat::LocatorOf(index)) &&
         meta_.generation == meta.generation && meta_.parameters == meta.parameters &&
         std::memcmp(&meta_.wrapped_key, &meta.wrapped_key, sizeof(meta.wrapped_key)) == 0;
}

OpenedIndex::OpenedIndex(Relation index, const MetaPage& meta)
    : meta_(meta),
      locator_(compat::LocatorOf(index)),
      layout_{quant::PaddedDim(meta.dim), meta.code_bits},
      keys_(index, meta) {
  const OpclassInfo& opclass = *Call([&] { return &OpclassOf(index); });
  if (meta.metric != static_cast<uint8_t>(opclass.metric) ||
      meta.element != static_cast<uint8_t>(opclass.element)) {
    ThrowIfError(Corruption(std::string("index \"") + RelationGetRelationName(index) +
                            "\" has a metapage for another operator class")
                     .WithHint("REINDEX the index."));
  }
  // So that giving a searcher back never allocates: it happens in destructors.
  idle_.reserve(kMaxIdleSearchers);
  const std::vector<uint8_t> bytes = ReadChain(index, meta.parameters, PageKind::kParameters);
  const size_t words = quant::RotationSignWords(layout_.dim);
  if (bytes.size() != words * sizeof(uint64_t) + layout_.dim * sizeof(float)) {
    ThrowIfError(DamagedParameters(index));
  }
  std::vector<uint64_t> signs(words);
  std::memcpy(signs.data(), bytes.data(), words * sizeof(uint64_t));
  std::vector<float> mean(layout_.dim);
  std::memcpy(mean.data(), bytes.data() + words * sizeof(uint64_t), layout_.dim * sizeof(float));
  Result<quant::Rotation> rotation = quant::Rotation::FromSigns(meta.dim, signs);
  ThrowIfError(rotation.status());
  space_ = std::make_unique<index::Space>(static_cast<Metric>(meta.metric),
                                          std::move(rotation).value(), mean);
}

void OpenedIndex::OpenSegments(Relation index) {
  if (segments_open_) return;
  segments_.clear();  // an attempt that ran out of memory
  for (SegmentEntry& entry : ReadSegments(index, meta_)) {
    const size_t image_bytes = index::RoutingImageBytes(entry.header.n_lists, layout_.dim);
    segments_.push_back({std::move(entry), image_bytes, {}});
  }
  segments_open_ = true;
}

void OpenedIndex::RefreshDead(Relation index, const MetaPage& meta) {
  if (dead_version_ == meta.tombstone_version) return;
  for (OpenedSegment& segment : segments_) {
    std::vector<uint32_t> dead = ReadDeadCounts(index, segment.entry.header);
    const bool none = std::all_of(dead.begin(), dead.end(), [](uint32_t n) { return n == 0; });
    segment.dead = none ? nullptr : std::make_shared<const std::vector<uint32_t>>(std::move(dead));
  }
  dead_version_ = meta.tombstone_version;
}

index::Routing OpenedIndex::PinRouting(Relation index, size_t i, PinSet* pins) {
  const OpenedSegment& segment = segments_[i];
  const auto build = [&](std::span<uint8_t> image) -> Status {
    const std::unique_ptr<ObjectReader> reader =
        NewObjectReader(index, meta_, segment.entry.header.segment);
    VDB_ASSIGN_OR_RETURN(const AlignedBuffer<uint8_t> plain,
                         reader->ReadObject(segment.entry.routing, keys_));
    VDB_ASSIGN_OR_RETURN(const format::RoutingObject object,
                         format::ParseRoutingObject(plain.span()));
    format::RoutingHeader expected = {};
    std::memcpy(expected.index.data(), meta_.uuid, expected.index.size());
    expected.segment = segment.entry.header.segment;
    expected.metric = static_cast<Metric>(meta_.metric);
    expected.element = static_cast<ElementType>(meta_.element);
    expected.dim = meta_.dim;
    expected.padded_dim = layout_.dim;
    expected.bits = meta_.code_bits;
    VDB_RETURN_IF_ERROR(format::CheckRoutingHeader(object.header, expected));
    if (object.rows != segment.entry.list_rows) {
      return Corruption("routing object and segment directory disagree");
    }
    // Where each list's bytes are follows from the rows of the lists of its chunk.
    std::vector<index::ListEntry> lists(object.rows.size());
    for (uint32_t c = 0; c < segment.entry.chunks.size(); c++) {
      const ObjectHeader& chunk = segment.entry.chunks[c].header;
      size_t a = chunk.a_offset, b = chunk.b_offset;
      uint32_t slot = chunk.first_slot;
      for (uint32_t l = chunk.first_list; l < chunk.first_list + chunk.n_lists; l++) {
        const uint32_t rows = object.rows[l];
        lists[l] = {c, rows, static_cast<uint32_t>(a), static_cast<uint32_t>(b), slot};
        const uint32_t blocks = (rows + quant::kBlockVectors - 1) / quant::kBlockVectors;
        a += blocks * layout_.block_bytes();
        b += rows * layout_.ex_record_bytes();
        slot += blocks * quant::kBlockVectors;
      }
      if (a > chunk.plain_bytes || b > chunk.plain_bytes) {
        return Corruption("chunk is shorter than its lists");
      }
    }
    const format::RoutingCalibration& c = object.calibration;
    index::RoutingSource source = {};
    source.dim = layout_.dim;
    source.centroids = object.centroids;
    source.scale = object.scale;
    source.radius = object.radius;
    source.lists = lists;
    source.calibration = {c.theta,
                          c.near_ratio,
                          c.l1_ratio_low,
                          c.l1_ratio_high,
                          c.recall_target,
                          c.measured_recall,
                          c.mean_lists,
                          c.p80_lists,
                          c.mean_rows,
                          c.queries,
                          segment.entry.header.reach};
    return index::WriteRoutingImage(source, image);
  };
  // Gets the data key, which may run a command: not while others wait for the image.
  const auto prepare = [&] { return keys_.CipherFor(segment.entry.routing.header).TakeStatus(); };
  const uint8_t* image = nullptr;
  Status status = FrameCache::Get().PinImage(ObjectKey::Of(segment.entry.routing.header.id),
                                             segment.image_bytes, build, pins, &image, prepare,
                                             PatienceFor(meta_));
  if (!status.ok()) {
    status = NameIndexOfWait(index, std::move(status));
    if (status.code() != Code::kCorruption) throw StatusError{std::move(status)};
    ThrowIfError(Corruption(std::string("index \"") + RelationGetRelationName(index) +
                            "\", routing object: " + status.message())
                     .WithHint(status.hint().empty() ? "REINDEX the index." : status.hint()));
  }
  return index::ViewRoutingImage(image);
}

std::unique_ptr<index::Searcher> OpenedIndex::TakeSearcher() {
  if (idle_.empty()) return std::make_unique<index::Searcher>(*space_, layout_);
  std::unique_ptr<index::Searcher> searcher = std::move(idle_.back());
  idle_.pop_back();
  --idle_searchers;
  return searcher;
}

OpenedIndex::~OpenedIndex() { idle_searchers -= idle_.size(); }

void OpenedIndex::ReturnSearcher(std::unique_ptr<index::Searcher> searcher) {
  if (idle_.size() < kMaxIdleSearchers && idle_searchers < kMaxIdleSearchersInAll &&
      searcher->stats().survivors <= kMaxIdleSurvivors &&
      searcher->delta_capacity() <= kMaxIdleDeltaRows) {
    idle_.push_back(std::move(searcher));
    ++idle_searchers;
  }
}

}  // namespace vdb::pg
