// Which frames a cache loses: the frames that searches pin are recorded and given to two caches of
// the same size, one that evicts as the frame cache does and a plain LRU.
//
//   eviction_bench PREFIX [--searches N] [--percent P]...
//
// The searches are a Zipf stream over the set's queries, in an index in this process whose objects
// are as large as a chunk's default. The first half fills the caches, the second is counted. Each
// --percent is a size of the caches, of all frames of the index. Prints one JSON object.
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "bench/dataset.h"
#include "engine/memory_index.h"
#include "index/trainer.h"
#include "unit/eviction_caches.h"

namespace vdb::bench {
namespace {

using engine::FrameKind;
using engine::MemoryIndex;

constexpr size_t kChunkRows = 10000;

struct Access {
  uint32_t frame;  // numbered through all objects
  FrameKind kind;
};

/// Reads a MemoryIndex, and writes down which frames.
class RecordingReader : public index::SegmentReader {
 public:
  explicit RecordingReader(const MemoryIndex& index) : reader_(index.view().reader) {
    const index::Routing& routing = index.routing();
    ex_codes_at_.assign(index.n_objects(), UINT32_MAX);
    for (uint32_t list = 0; list < routing.n_lists; ++list) {
      const index::ListEntry& entry = routing.lists[list];
      ex_codes_at_[entry.object] = std::min(ex_codes_at_[entry.object], entry.b_offset);
    }
    for (uint32_t object = 0; object < index.n_objects(); ++object) {
      first_frame_.push_back(n_frames_);
      const size_t bytes = index.object(object).size();
      n_frames_ += static_cast<uint32_t>((bytes + index::kFrameBytes - 1) / index::kFrameBytes);
    }
  }

  uint32_t n_frames() const { return n_frames_; }
  const std::vector<Access>& trace() const { return trace_; }

  Status Pin(std::span<const index::FrameRef> frames, const uint8_t** addresses) override {
    for (const index::FrameRef& frame : frames) {
      // As in a cache, a frame with the end of one region is of that region.
      const bool first = frame.frame * index::kFrameBytes < ex_codes_at_[frame.object];
      trace_.push_back({first_frame_[frame.object] + frame.frame,
                        first ? FrameKind::kFirstCodes : FrameKind::kExCodes});
    }
    return reader_->Pin(frames, addresses);
  }
  void Unpin() noexcept override { reader_->Unpin(); }
  Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) override {
    return reader_->DeadRows(list, mask);
  }

 private:
  index::SegmentReader* reader_;
  std::vector<uint32_t> first_frame_;  // of each object
  std::vector<uint32_t> ex_codes_at_;  // likewise
  uint32_t n_frames_ = 0;
  std::vector<Access> trace_;
};

void Search(const MemoryIndex& index, index::Searcher* searcher, RecordingReader* reader,
            const float* query) {
  const index::SegmentView view{&index.routing(), reader};
  searcher->Begin({&view, 1}, query, {});
  for (size_t found = 0; found < kRank;) {
    index::Searcher::Step step;
    index::RowId row;
    double distance;
    if (!searcher->Next(&step, &row, &distance).ok()) std::abort();
    if (step == index::Searcher::Step::kDone) break;
    if (step == index::Searcher::Step::kNeedExact) {
      searcher->SetExact(index.Distance(query, index.MatrixRow(row)));
    } else {
      ++found;
    }
  }
}

nlohmann::json Replay(const std::vector<Access>& trace, size_t counted_from, uint32_t frames) {
  testing::S3Cache s3(frames);
  testing::LruCache lru(frames);
  size_t s3_misses = 0, lru_misses = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    const bool s3_hit = s3.Get(trace[i].frame, trace[i].kind);
    const bool lru_hit = lru.Get(trace[i].frame);
    s3_misses += i >= counted_from && !s3_hit;
    lru_misses += i >= counted_from && !lru_hit;
  }
  const auto accesses = static_cast<double>(trace.size() - counted_from);
  return {{"frames", frames},
          {"hit_rate", 1 - static_cast<double>(s3_misses) / accesses},
          {"lru_hit_rate", 1 - static_cast<double>(lru_misses) / accesses},
          {"misses", s3_misses},
          {"lru_misses", lru_misses}};
}

int Main(int argc, char** argv) {
  std::string prefix;
  size_t searches = 20000;
  std::vector<double> percents;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--searches" && i + 1 < argc) {
      searches = std::stoul(argv[++i]);
    } else if (flag == "--percent" && i + 1 < argc) {
      percents.push_back(std::stod(argv[++i]));
    } else {
      prefix = flag;
    }
  }
  if (prefix.empty() || prefix[0] == '-') {
    std::fprintf(stderr, "usage: see the head of eviction_bench.cpp\n");
    return 2;
  }
  const Dataset set = LoadDataset(prefix, false);
  engine::MemoryIndexOptions options;
  const size_t lists = index::AutomaticLists(set.base.rows());
  options.lists_per_object =
      static_cast<uint32_t>(std::max<size_t>(1, kChunkRows * lists / set.base.rows()));
  Result<MemoryIndex> built = MemoryIndex::Build(set.base.values, set.base.dim, options);
  if (!built.ok()) {
    std::fprintf(stderr, "%s\n", built.status().message().c_str());
    return 1;
  }
  RecordingReader reader(*built);
  index::Searcher searcher(built->space(), built->layout());
  size_t counted_from = 0, done = 0;
  for (const uint32_t query : ZipfStream(set.queries.rows(), searches)) {
    if (done++ == searches / 2) counted_from = reader.trace().size();
    Search(*built, &searcher, &reader, set.queries.row(query));
  }
  nlohmann::json replays = nlohmann::json::array();
  for (const double percent : percents) {
    const auto frames = static_cast<uint32_t>(reader.n_frames() * percent / 100);
    replays.push_back(Replay(reader.trace(), counted_from, std::max(frames, 10u)));
    replays.back()["percent"] = percent;
  }
  const nlohmann::json result{{"searches", searches},
                              {"index_frames", reader.n_frames()},
                              {"accesses", reader.trace().size()},
                              {"replays", replays}};
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace vdb::bench

int main(int argc, char** argv) { return vdb::bench::Main(argc, argv); }
