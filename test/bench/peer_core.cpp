// This project's core, and exact search with its kernel.
#include <cstdio>
#include <cstdlib>

#include "bench/peer.h"
#include "engine/memory_index.h"
#include "simd/distance.h"

namespace vdb::bench {
namespace {

using engine::MemoryIndex;

// Thetas about the calibrated one, which is the first setting.
constexpr float kSteps[] = {0,     -.1f, -.075f, -.05f, -.025f, .025f, .05f,
                            .075f, .1f,  .15f,   .2f,   .3f,    .4f,   .6f};

class Core : public Peer {
 public:
  void Build(const Matrix& base, int /*threads*/) override {
    Result<MemoryIndex> built = MemoryIndex::Build(base.values, base.dim, {});
    if (!built.ok()) {
      std::fprintf(stderr, "%s\n", built.status().message().c_str());
      std::exit(1);
    }
    index_ = std::make_unique<MemoryIndex>(std::move(*built));
    searcher_ = std::make_unique<index::Searcher>(index_->space(), index_->layout());
    calibrated_ = index_->routing().calibration.theta;
  }
  size_t n_settings() const override { return std::size(kSteps); }
  std::string Set(size_t i) override {
    index_->set_theta(calibrated_ + kSteps[i]);
    char name[64];
    std::snprintf(name, sizeof name, "theta %.3f%s", static_cast<double>(calibrated_ + kSteps[i]),
                  i == 0 ? " (calibrated)" : "");
    return name;
  }
  void Search(const float* query, uint32_t* rows) override {
    std::fill_n(rows, kRank, UINT32_MAX);
    if (!index_->Search(searcher_.get(), query, kRank, {}, &hits_).ok()) std::abort();
    for (size_t i = 0; i < hits_.size(); ++i) rows[i] = hits_[i].row;
  }

 private:
  std::unique_ptr<MemoryIndex> index_;
  std::unique_ptr<index::Searcher> searcher_;
  std::vector<MemoryIndex::Hit> hits_;
  float calibrated_ = 0;
};

class Exact : public Peer {
 public:
  void Build(const Matrix& base, int /*threads*/) override { base_ = &base; }
  size_t n_settings() const override { return 1; }
  std::string Set(size_t /*i*/) override { return "every row"; }
  void Search(const float* query, uint32_t* rows) override {
    std::vector<std::pair<float, uint32_t>> nearest;  // a max-heap
    for (uint32_t row = 0; row < base_->rows(); ++row) {
      const float d = simd::L2Sq(query, base_->row(row), base_->dim);
      if (nearest.size() == kRank && d >= nearest.front().first) continue;
      if (nearest.size() == kRank) {
        std::pop_heap(nearest.begin(), nearest.end());
        nearest.pop_back();
      }
      nearest.emplace_back(d, row);
      std::push_heap(nearest.begin(), nearest.end());
    }
    std::fill_n(rows, kRank, UINT32_MAX);
    for (size_t i = 0; i < nearest.size(); ++i) rows[i] = nearest[i].second;
  }

 private:
  const Matrix* base_ = nullptr;
};

}  // namespace

std::unique_ptr<Peer> MakeCore() { return std::make_unique<Core>(); }
std::unique_ptr<Peer> MakeExact() { return std::make_unique<Exact>(); }

}  // namespace vdb::bench
