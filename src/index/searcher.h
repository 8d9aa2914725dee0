/// Searcher: one incremental search over segments and delta, from which rows come out in distance
/// order for as long as the caller asks.
///
/// Exact distances are not the searcher's: it says which row's it needs (kNeedExact), the caller
/// reads the row and answers with SetExact or Reject (invisible, filtered away, gone). So the core
/// needs no callback into PostgreSQL but SegmentReader.
///
/// It works in rounds. Round r looks for the k_r nearest (10, then four times more each round): tau
/// is the k_r-th smallest upper bound or exact distance so far; lists are scanned in order of key
/// (simd/list_keys.h) while key < tau; a row whose lower bound is not under tau is left alone, and
/// a later round with a larger tau scans the list again for just those. A row is handed out when
/// its exact distance is <= tau and no candidate has a smaller lower bound. So nothing is
/// restarted, nothing comes twice, and with enough rounds every row comes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/interrupt.h"
#include "index/routing.h"
#include "index/space.h"

namespace vdb::index {

inline constexpr uint32_t kFrameBytes = 16384;

struct FrameRef {
  uint32_t object, frame;
  bool operator==(const FrameRef&) const = default;
};

/// Says which frames of a segment a search will want soon, for a reader to whom they are far away.
class FramesAhead {
 public:
  virtual ~FramesAhead() = default;
  /// Replaces *frames by those of the lists that the search will probably scan, blocks and ex
  /// records, as far as can be told now: those that it scans first before others, some of them
  /// twice. May be asked at any time of a search; only what it is done with is left out.
  /// Who asks again has all that the first answer named, so the second one is meant to be the last.
  virtual void FramesOf(size_t segment, std::vector<FrameRef>* frames) = 0;
};

/// How the searcher reads one segment's bytes.
class SegmentReader {
 public:
  virtual ~SegmentReader() = default;
  /// Pins frames (plaintext, kFrameBytes each, 64-byte aligned; the object's last may be shorter)
  /// and writes their addresses. Pins add up until Unpin. An implementation never waits for a frame
  /// while it holds pins: it may unpin and pin again the frames of this call, so a caller pins all
  /// it needs at once in one call.
  virtual Status Pin(std::span<const FrameRef> frames, const uint8_t** addresses) = 0;
  /// A search begins, in which this is segment number `segment`. `ahead` can be asked until the
  /// next one does, or the searcher goes.
  virtual void Follow(size_t /*segment*/, FramesAhead* /*ahead*/) {}
  virtual void Unpin() noexcept = 0;
  /// Dead rows of a list: bit i of mask[b] = row 32b + i is deleted. False: none are, mask is not
  /// written.
  virtual Result<bool> DeadRows(uint32_t list, std::span<uint32_t> mask) = 0;
};

struct SegmentView {
  const Routing* routing;
  SegmentReader* reader;
};

struct SearchOptions {
  uint32_t first_k = 10;
  uint32_t probes = 0;  // 0: by theta; else so many lists, whatever their keys
  bool relaxed_order = false;
  InterruptPoll poll;
};

struct SearchStats {
  uint64_t lists = 0, rows_scanned = 0, survivors = 0, exact = 0, rejected = 0, late = 0,
           rounds = 0;
  int64_t scan_ns = 0;  // in scanning lists, waiting for their frames included
};

/// A row of a segment: segment << 40 | slot. Of the delta: kDeltaRow | the caller's number (a
/// packed TID).
using RowId = uint64_t;
inline constexpr RowId kDeltaRow = RowId{1} << 63;

class Searcher {
 public:
  enum class Step { kNeedExact, kRow, kDone };

  /// space and layout are the index's; both must outlive the searcher.
  Searcher(const Space& space, quant::CodeLayout layout);
  ~Searcher();

  /// Starts over with a new query (dim,) in the user's values. Buffers are kept from search to
  /// search.
  void Begin(std::span<const SegmentView> segments, const float* query,
             const SearchOptions& options);

  /// Delta rows: row codes' first parts about the mean (a zero centroid), `stride` bytes apart,
  /// with their numbers. All of them between Begin and the first Next.
  void AddDelta(const uint8_t* first_parts, size_t stride, size_t n, const uint64_t* numbers);

  /// What to do next. kNeedExact: *row's exact distance is wanted; answer before the next call.
  /// kRow: *row is the next one out, *distance its exact distance as given. kDone: there are no
  /// more.
  Status Next(Step* step, RowId* row, double* distance);
  /// The exact distance as SQL shows it.
  void SetExact(double distance);
  void Reject();

  /// The rows whose exact distances are likely to be asked for next, in that order, at most `max`;
  /// returns how many. For reading ahead: none has to be read.
  size_t Upcoming(RowId* rows, size_t max) const;

  const SearchStats& stats() const;
  /// Rows of a delta that the buffers have room for. They stay as large as searches make them.
  size_t delta_capacity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vdb::index
