/// vdb.prewarm(index, what): brings an index into the cache before it is asked for.
#include "pg/pg.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/am/inspect.h"
#include "pg/am/opened.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/store/segment_frames.h"

extern "C" {
#include "portability/instr_time.h"
}

namespace vdb::pg {
namespace {

enum class What { kRouting, kCodes, kEverything };

// Frames that are read together: 4 MB.
constexpr size_t kBatchFrames = 256;
// A NOTICE says how far it is after each tenth of the work, where there is more than this to do.
constexpr uint64_t kSilentFrames = 1024;  // 16 MB

struct Warmed {
  uint64_t objects = 0, frames = 0, bytes = 0;
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

/// What is wanted is in the chunk's frames before this one.
uint64_t EndFrame(const ObjectHeader& chunk, What what) {
  const bool vectors = what == What::kEverything || chunk.c_offset == 0;
  const uint64_t bytes = vectors ? chunk.plain_bytes : chunk.c_offset;
  return format::FrameCount(bytes);
}

/// frames: those of the segment that `chunk` is in, as number `number`.
void WarmChunk(SegmentFrames& frames, uint32_t number, const ObjectHeader& chunk, What what,
               uint64_t total, Warmed* result) {
  const uint64_t end = EndFrame(chunk, what);
  std::vector<index::FrameRef> batch;
  std::vector<const uint8_t*> addresses(kBatchFrames);
  for (uint64_t first = 0; first < end; first += kBatchFrames) {
    batch.clear();
    for (uint64_t f = first; f < std::min(first + kBatchFrames, end); ++f) {
      batch.push_back({number, static_cast<uint32_t>(f)});
    }
    PinSet pins;
    ThrowIfError(frames.Pin(batch, &pins, addresses.data()));
    const uint64_t before = result->frames;
    result->frames += batch.size();
    Call([&] {
      CHECK_FOR_INTERRUPTS();
      if (total > kSilentFrames && result->frames * 10 / total > before * 10 / total) {
        ereport(NOTICE, (errmsg("prewarmed %llu of %llu frames",
                                static_cast<unsigned long long>(result->frames),
                                static_cast<unsigned long long>(total))));
      }
    });
  }
  result->bytes += std::min<uint64_t>(end * kFrameBytes, chunk.plain_bytes);
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
    total += format::FrameCount(segment.entry.routing.header.plain_bytes);
    for (const ObjectEntry& chunk : segment.entry.chunks) total += EndFrame(chunk.header, what);
  }
  for (size_t i = 0; i < segments.size(); i++) {
    PinSet pins;
    opened->PinRouting(index, i, &pins);
    result.objects++;
    result.bytes += segments[i].entry.routing.header.plain_bytes;
    result.frames += format::FrameCount(segments[i].entry.routing.header.plain_bytes);
    if (what == What::kRouting) continue;
    const SegmentEntry& entry = segments[i].entry;
    SegmentFrames frames(index, opened->meta(), entry, opened->keys());
    for (uint32_t chunk = 0; chunk < entry.chunks.size(); chunk++) {
      WarmChunk(frames, chunk, entry.chunks[chunk].header, what, total, &result);
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
      return OpenOwnedIndex(oid);
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
