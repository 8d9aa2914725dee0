// hnswlib, whose headers choose their instructions when they are compiled: this file is compiled
// for the machine it runs on.
#include <atomic>
#include <thread>

#include <hnswlib/hnswlib.h>

#include "bench/peer.h"

namespace vdb::bench {
namespace {

constexpr size_t kM = 16, kEfConstruction = 64;
constexpr size_t kEf[] = {10,  12,  16,  20,  24,  32,  40,  48,  64,  80,  96,
                          128, 160, 192, 256, 320, 384, 512, 640, 768, 1024};

class Hnswlib : public Peer {
 public:
  void Build(const Matrix& base, int threads) override {
    space_ = std::make_unique<hnswlib::L2Space>(base.dim);
    graph_ = std::make_unique<hnswlib::HierarchicalNSW<float>>(space_.get(), base.rows(), kM,
                                                               kEfConstruction);
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      for (size_t row = next++; row < base.rows(); row = next++) {
        graph_->addPoint(base.row(row), row);
      }
    };
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(work);
    work();
    for (std::thread& thread : others) thread.join();
  }

  size_t n_settings() const override { return std::size(kEf); }
  std::string Set(size_t i) override {
    graph_->setEf(kEf[i]);
    return "ef " + std::to_string(kEf[i]);
  }

  void Search(const float* query, uint32_t* rows) override {
    std::fill_n(rows, kRank, UINT32_MAX);
    auto found = graph_->searchKnn(query, kRank);
    for (; !found.empty(); found.pop()) {
      rows[found.size() - 1] = static_cast<uint32_t>(found.top().second);
    }
  }

 private:
  std::unique_ptr<hnswlib::L2Space> space_;
  std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph_;
};

}  // namespace

std::unique_ptr<Peer> MakeHnswlib() { return std::make_unique<Hnswlib>(); }

}  // namespace vdb::bench
