#include "pg/pg.h"

#include "pg/prewarm/reload.h"

#include <csignal>
#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "pg/am/opened.h"
#include "pg/catalog/index_list.h"
#include "pg/guard.h"
#include "pg/prewarm/hot_file.h"
#include "pg/store/segment_frames.h"

extern "C" {
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "postmaster/bgworker.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"

PGDLLEXPORT void vdb_autoprewarm_reload(Datum argument);
}

namespace vdb::pg {
namespace {

// Frames that are read together, in one transaction: 4 MB.
constexpr size_t kBatchFrames = 256;

using Key = std::pair<uint64_t, uint64_t>;

Key KeyOf(const ObjectHeader& object) {
  const ObjectKey key = ObjectKey::Of(object.id);
  return {key.words[0], key.words[1]};
}

/// What of an object was in the cache.
struct HotObject {
  bool image = false;
  std::vector<uint32_t> frames;
  bool settled = false;  // it is in the cache again
};
using HotObjects = std::map<Key, HotObject>;

/// The place of a chunk in an index, and what to read of it.
struct Task {
  size_t segment, chunk;
  HotObject* object;
};

class Reloader {
 public:
  Reloader(Oid database, const std::vector<CachedFrame>& hot);

  void Run();

 private:
  /// Calls body(index) in a transaction of its own. False: the index is gone, or locked, or not
  /// valid; or it failed, which is logged. missed_ says whether another time may be better.
  template <class Body>
  bool InTransaction(Oid index, Body&& body);
  void ReloadIndex(Oid index);
  std::vector<Task> Open(Relation index);
  bool ReloadChunk(Oid index, const Task& task);

  std::vector<CachedFrame> Unread() const;

  std::vector<CachedFrame> frames_;
  HotObjects hot_;
  uint64_t wanted_ = 0, done_ = 0;  // frames of the cache
  bool full_ = false;
  bool missed_ = false;  // what belongs to some index is not known
};

Reloader::Reloader(Oid database, const std::vector<CachedFrame>& hot) {
  for (const CachedFrame& frame : hot) {
    if (frame.database != database) continue;
    HotObject& object = hot_[{frame.object.words[0], frame.object.words[1]}];
    if (frame.frame == kImageFrame) {
      object.image = true;
    } else {
      object.frames.push_back(frame.frame);
    }
    wanted_ += frame.n_frames;
    frames_.push_back(frame);
  }
  for (auto& [key, object] : hot_) {
    std::sort(object.frames.begin(), object.frames.end());
    const auto end = std::unique(object.frames.begin(), object.frames.end());
    object.frames.erase(end, object.frames.end());
  }
}

/// The ERROR that is pending goes to the log, and the transaction away.
void LogFailure(const char* index) {
  MemoryContextSwitchTo(TopMemoryContext);
  ErrorData* const error = CopyErrorData();
  FlushErrorState();
  AbortCurrentTransaction();
  ereport(LOG,
          (errmsg("could not bring index \"%s\" back into the cache: %s", index, error->message),
           error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0));
  FreeErrorData(error);
}

/// Share-locks an index that is there, is not locked, and can be searched; else null. ereports.
Relation TryOpen(Oid oid, bool* locked) {
  *locked = !ConditionalLockRelationOid(oid, AccessShareLock);
  if (*locked) return nullptr;
  Relation index = try_relation_open(oid, NoLock);
  if (index == nullptr) return nullptr;
  if (IsPermanentIndex(oid) && index->rd_index->indisvalid) return index;
  relation_close(index, AccessShareLock);
  return nullptr;
}

template <class Body>
bool Reloader::InTransaction(Oid oid, Body&& body) {
  char name[NAMEDATALEN] = "";
  bool there = false, locked = false;
  try {
    Call([&] {
      CHECK_FOR_INTERRUPTS();
      StartTransactionCommand();
      PushActiveSnapshot(GetTransactionSnapshot());
      Relation index = TryOpen(oid, &locked);
      if (index != nullptr) {
        strlcpy(name, RelationGetRelationName(index), sizeof(name));
        Entry("vdb autoprewarm", [&] { body(index); });
        relation_close(index, AccessShareLock);
        there = true;
      }
      PopActiveSnapshot();
      CommitTransactionCommand();
    });
  } catch (const ErrorPending&) {
    Call([&] { LogFailure(name); });
    missed_ = true;
    return false;
  }
  missed_ = missed_ || locked;
  return there;
}

/// Reads the routing images that are wanted. What is left of the index's objects to read.
std::vector<Task> Reloader::Open(Relation index) {
  std::vector<Task> tasks;
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(index, meta);
  opened->OpenSegments(index);
  const std::vector<OpenedSegment>& segments = opened->segments();
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto routing = hot_.find(KeyOf(segments[i].entry.routing.header));
    if (routing != hot_.end() && routing->second.image) {
      const size_t frames = (segments[i].image_bytes + kFrameBytes - 1) / kFrameBytes;
      if (FrameCache::Get().free_frames() < frames) {
        full_ = true;
        break;
      }
      PinSet pins;
      opened->PinRouting(index, i, &pins);
      done_ += frames;
      routing->second.settled = true;
    }
    const std::vector<ObjectEntry>& chunks = segments[i].entry.chunks;
    for (size_t c = 0; c < chunks.size(); ++c) {
      const auto found = hot_.find(KeyOf(chunks[c].header));
      if (found != hot_.end()) tasks.push_back({i, c, &found->second});
    }
  }
  return tasks;
}

/// False: there is nothing more to be had of this index.
bool Reloader::ReloadChunk(Oid oid, const Task& task) {
  const std::vector<uint32_t>& hot = task.object->frames;
  for (size_t done = 0; done < hot.size();) {
    size_t batch = 0;
    const bool there = InTransaction(oid, [&](Relation relation) {
      const MetaPage meta = Call([&] { return ReadMeta(relation); });
      const std::shared_ptr<OpenedIndex> opened = OpenedIndex::Get(relation, meta);
      opened->OpenSegments(relation);
      const std::vector<OpenedSegment>& segments = opened->segments();
      // It was rebuilt meanwhile.
      if (task.segment >= segments.size() ||
          task.chunk >= segments[task.segment].entry.chunks.size()) {
        return;
      }
      const SegmentEntry& segment = segments[task.segment].entry;
      const ObjectEntry& chunk = segment.chunks[task.chunk];
      const auto found = hot_.find(KeyOf(chunk.header));
      if (found == hot_.end() || &found->second != task.object) return;
      batch = std::min({kBatchFrames, hot.size() - done, FrameCache::Get().free_frames()});
      full_ = batch == 0;
      if (full_) return;
      std::vector<index::FrameRef> wanted;
      for (const uint32_t frame : std::span(hot).subspan(done, batch)) {
        wanted.push_back({static_cast<uint32_t>(task.chunk), frame});
      }
      std::vector<const uint8_t*> addresses(wanted.size());
      SegmentFrames frames(relation, opened->meta(), segment, opened->keys());
      PinSet pins;
      ThrowIfError(frames.Pin(wanted, &pins, addresses.data()));
    });
    if (!there || batch == 0) return false;
    done += batch;
    done_ += batch;
  }
  task.object->settled = true;
  return true;
}

void Reloader::ReloadIndex(Oid oid) {
  std::vector<Task> tasks;
  if (!InTransaction(oid, [&](Relation index) { tasks = Open(index); })) return;
  for (const Task& task : tasks) {
    if (full_ || !ReloadChunk(oid, task)) return;
  }
}

/// Of the indexes; none where the extension is not.
std::vector<Oid> IndexOids() {
  std::vector<Oid> oids;
  List* const indexes = Call([] {
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    return OidIsValid(get_index_am_oid("vdb", true)) ? PermanentIndexes() : NIL;
  });
  for (int i = 0; i < list_length(indexes); ++i) oids.push_back(list_nth_oid(indexes, i));
  Call([] {
    PopActiveSnapshot();
    CommitTransactionCommand();
  });
  return oids;
}

/// What may yet be found in an index that could not be looked into.
std::vector<CachedFrame> Reloader::Unread() const {
  std::vector<CachedFrame> unread;
  if (!missed_) return unread;
  for (const CachedFrame& frame : frames_) {
    if (!hot_.at({frame.object.words[0], frame.object.words[1]}).settled) unread.push_back(frame);
  }
  return unread;
}

void Reloader::Run() {
  for (const Oid oid : IndexOids()) {
    if (!full_) ReloadIndex(oid);
  }
  WriteHotFile(HotFile::kUnread, Unread());
  Call([&] {
    StartTransactionCommand();
    const char* const name = get_database_name(MyDatabaseId);
    ereport(LOG, (errmsg("brought %llu of %llu frames of database \"%s\" back into the cache",
                         static_cast<unsigned long long>(done_),
                         static_cast<unsigned long long>(wanted_), name == nullptr ? "" : name),
                  full_ ? errdetail("The cache is full.") : 0));
    CommitTransactionCommand();
  });
}

void Run(Oid database) {
  Call([&] {
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    // As the bootstrap superuser; objects are read as the owners of their indexes may.
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    pgstat_report_activity(STATE_RUNNING, "filling the cache of vdb_ext");
  });
  const auto hot = ReadHotFile(HotFile::kCache, FrameCache::Get().capacity());
  Reloader(database, hot.value_or(std::vector<CachedFrame>())).Run();
}

}  // namespace

void StopReload(Oid database) {
  const uint32 most = ProcGlobal->allProcCount;
  auto* const pids = static_cast<int*>(palloc(most * sizeof(int)));
  uint32 n = 0;
  LWLockAcquire(ProcArrayLock, LW_SHARED);
  for (uint32 i = 0; i < most; i++) {
    const PGPROC& process = ProcGlobal->allProcs[i];
    if (process.databaseId == database && process.pid != 0) pids[n++] = process.pid;
  }
  LWLockRelease(ProcArrayLock);
  for (uint32 i = 0; i < n; i++) {
    const char* const type = GetBackgroundWorkerTypeByPid(pids[i]);
    if (type != nullptr && std::strcmp(type, kReloadType) == 0) kill(pids[i], SIGTERM);
  }
}

}  // namespace vdb::pg

extern "C" void vdb_autoprewarm_reload(Datum argument) {
  vdb::pg::Entry("vdb_autoprewarm_reload", [&] { vdb::pg::Run(DatumGetObjectId(argument)); });
}
