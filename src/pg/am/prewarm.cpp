/// vdb.prewarm(index, what): brings an index into the cache before it is asked for.
#include "pg/pg.h"

#include <cstring>
#include <string>
#include <vector>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/am/inspect.h"
#include "pg/am/opened.h"
#include "pg/cache/frame_cache.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/store/object_reader.h"

extern "C" {
#include "portability/instr_time.h"
}

namespace vdb::pg {
namespace {

enum class What { kRouting, kCodes, kEverything };

// Frames that are read together: 4 MB.
constexpr size_t kBatchFrames = 256;
// How often a NOTICE says how far it is, when there is much to do.
constexpr uint64_t kNoticeFrames = 16384;  // 256 MB

struct Warmed {
  uint64_t objects = 0, frames = 0, bytes = 0;
};

/// Reads the missing ones of some frames of one chunk.
class Loader final : public FrameLoader {
 public:
  Loader(ObjectReader& reader, ObjectKeys& keys, const ObjectEntry& chunk)
      : reader_(reader), keys_(keys), chunk_(chunk) {}
  Status Prepare(uint32_t) override { return keys_.CipherFor(chunk_.header).TakeStatus(); }
  Status Load(std::span<const FrameRequest> requests, std::span<const FrameFill> fills,
              uint64_t* bytes_read) override {
    std::vector<FrameRead> reads;
    reads.reserve(fills.size());
    for (const FrameFill& fill : fills) {
      reads.push_back({&chunk_, requests[fill.request].frame, fill.target});
    }
    return reader_.ReadFrames(reads, keys_, bytes_read);
  }

 private:
  ObjectReader& reader_;
  ObjectKeys& keys_;
  const ObjectEntry& chunk_;
};

What ParseWhat(const std::string& text) {
  if (text == "routing") return What::kRouting;
  if (text == "codes") return What::kCodes;
  if (text != "everything") {
    ThrowIfError(InvalidArgument(StrCat("invalid value for argument \"what\": \"", text, "\""))
                     .WithHint("Valid values are \"routing\", \"codes\" and \"everything\"."));
  }
  return What::kEverything;
}

/// Frames [first, last) of the chunk that hold what is wanted.
uint64_t LastFrame(const ObjectHeader& chunk, What what) {
  const bool vectors = what == What::kEverything || chunk.c_offset == 0;
  const uint64_t bytes = vectors ? chunk.plain_bytes : chunk.c_offset;
  return format::FrameCount(bytes);
}

void WarmChunk(OpenedIndex& opened, ObjectReader& reader, const ObjectEntry& chunk, What what,
               uint64_t total, Warmed* result) {
  const uint64_t frames = LastFrame(chunk.header, what);
  Loader loader(reader, opened.keys(), chunk);
  std::vector<FrameRequest> requests;
  std::vector<const uint8_t*> addresses(kBatchFrames);
  for (uint64_t first = 0; first < frames; first += kBatchFrames) {
    requests.clear();
    for (uint64_t f = first; f < std::min(first + kBatchFrames, frames); ++f) {
      const uint64_t start = f * kFrameBytes;
      const FrameKind kind =
          start < chunk.header.b_offset || chunk.header.b_offset == 0   ? FrameKind::kFirstCodes
          : start < chunk.header.c_offset || chunk.header.c_offset == 0 ? FrameKind::kExCodes
                                                                        : FrameKind::kVectors;
      requests.push_back({ObjectKey::Of(chunk.header.id), static_cast<uint32_t>(f), kind});
    }
    PinSet pins;
    ThrowIfError(FrameCache::Get().Pin(requests, loader, &pins, addresses.data()));
    const uint64_t before = result->frames / kNoticeFrames;
    result->frames += requests.size();
    Call([&] {
      CHECK_FOR_INTERRUPTS();
      if (result->frames / kNoticeFrames > before) {
        ereport(NOTICE, (errmsg("prewarmed %llu of %llu frames",
                                static_cast<unsigned long long>(result->frames),
                                static_cast<unsigned long long>(total))));
      }
    });
  }
  result->bytes += std::min<uint64_t>(frames * kFrameBytes, chunk.header.plain_bytes);
  result->objects++;
}

Warmed Prewarm(Relation index, What what) {
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(index, meta);
  opened->OpenSegments(index);
  Warmed result;
  uint64_t total = 0;
  std::vector<OpenedSegment>& segments = opened->segments();
  for (const OpenedSegment& segment : segments) {
    for (const ObjectEntry& chunk : segment.entry.chunks) total += LastFrame(chunk.header, what);
  }
  for (size_t i = 0; i < segments.size(); i++) {
    PinSet pins;
    opened->PinRouting(index, i, &pins);
    result.objects++;
    result.bytes += segments[i].entry.routing.header.plain_bytes;
    result.frames += format::FrameCount(segments[i].entry.routing.header.plain_bytes);
    if (what == What::kRouting) continue;
    const std::unique_ptr<ObjectReader> reader =
        NewObjectReader(index, opened->meta(), segments[i].entry.header.segment);
    for (const ObjectEntry& chunk : segments[i].entry.chunks) {
      WarmChunk(*opened, *reader, chunk, what, total, &result);
    }
  }
  return result;
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_prewarm) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry(__func__, [&]() -> Datum {
    const Oid oid = PG_GETARG_OID(0);
    const char* const what_text = Call([&] { return text_to_cstring(PG_GETARG_TEXT_PP(1)); });
    const What what = ParseWhat(what_text);
    instr_time start, took;
    INSTR_TIME_SET_CURRENT(start);
    TupleDesc descriptor = nullptr;
    Relation index = Call([&] {
      if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "return type must be a row type");
      }
      descriptor = BlessTupleDesc(descriptor);
      RequireIndexOwner(oid);
      Relation relation = relation_open(oid, AccessShareLock);
      RequireReadableIndex(relation);
      return relation;
    });
    const Warmed result = Prewarm(index, what);
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, start);
    return Call([&] {
      relation_close(index, AccessShareLock);
      const auto number = [](uint64_t n) { return Int64GetDatum(static_cast<int64>(n)); };
      Datum values[] = {number(result.objects), number(result.frames), number(result.bytes),
                        Float8GetDatum(INSTR_TIME_GET_MILLISEC(took))};
      bool nulls[lengthof(values)] = {};
      return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
    });
  });
}
