/// Peer: an index in this process, built from a matrix and searched by one thread for the ten
/// nearest rows by L2. Each has a list of settings that trade time for recall.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench/dataset.h"

namespace vdb::bench {

class Peer {
 public:
  virtual ~Peer() = default;
  /// base outlives the peer.
  virtual void Build(const Matrix& base, int threads) = 0;
  virtual size_t n_settings() const = 0;
  /// Applies setting i, later ones being slower within one group; returns its name.
  virtual std::string Set(size_t i) = 0;
  /// Settings from i on that only repeat the search with more effort end at the next multiple of
  /// this: reaching the wanted recall in one group ends the group, not the sweep.
  virtual size_t group() const { return n_settings(); }
  /// The ten nearest rows to rows[kRank]; UINT32_MAX where there are fewer.
  virtual void Search(const float* query, uint32_t* rows) = 0;
};

std::unique_ptr<Peer> MakeCore();       // engine::MemoryIndex; builds on one thread
std::unique_ptr<Peer> MakeExact();      // every row, simd::L2Sq
std::unique_ptr<Peer> MakeHnswlib();    // M = 16, ef_construction = 64
std::unique_ptr<Peer> MakeFaissHnsw();  // M = 16, efConstruction = 64
std::unique_ptr<Peer> MakeFaissIvfPq();

}  // namespace vdb::bench
