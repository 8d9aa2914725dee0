// Faiss as Debian compiles it, which is without AVX: HNSW, and IVF with PQ codes scanned in blocks
// and exact distances for the best of them.
#include <cmath>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexRefine.h>
#include <omp.h>

#include "bench/peer.h"

namespace vdb::bench {
namespace {

using idx_t = faiss::Index::idx_t;

constexpr int kM = 16, kEfConstruction = 64;
constexpr int kEf[] = {10,  12,  16,  20,  24,  32,  40,  48,  64,  80,  96,
                       128, 160, 192, 256, 320, 384, 512, 640, 768, 1024};

void SearchFaiss(const faiss::Index& index, const float* query, uint32_t* rows) {
  idx_t labels[kRank];
  float distances[kRank];
  index.search(1, query, kRank, distances, labels);
  for (size_t i = 0; i < kRank; ++i) rows[i] = static_cast<uint32_t>(labels[i]);
}

class FaissHnsw : public Peer {
 public:
  void Build(const Matrix& base, int threads) override {
    index_ = std::make_unique<faiss::IndexHNSWFlat>(static_cast<int>(base.dim), kM);
    index_->hnsw.efConstruction = kEfConstruction;
    omp_set_num_threads(threads);
    index_->add(static_cast<idx_t>(base.rows()), base.values.data());
    omp_set_num_threads(1);
  }
  size_t n_settings() const override { return std::size(kEf); }
  std::string Set(size_t i) override {
    index_->hnsw.efSearch = kEf[i];
    return "ef " + std::to_string(kEf[i]);
  }
  void Search(const float* query, uint32_t* rows) override { SearchFaiss(*index_, query, rows); }

 private:
  std::unique_ptr<faiss::IndexHNSWFlat> index_;
};

constexpr int kIterations = 10;                  // of k-means, as here
constexpr float kRefine[] = {4, 8, 16, 32, 64};  // exact distances for so many times ten rows
constexpr size_t kProbes[] = {2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};

class FaissIvfPq : public Peer {
 public:
  void Build(const Matrix& base, int threads) override {
    const auto rows = static_cast<double>(base.rows());
    const auto lists = static_cast<size_t>(4 * std::sqrt(rows));
    quantizer_ = std::make_unique<faiss::IndexFlatL2>(base.dim);
    // Two dimensions to a 4-bit code.
    codes_ = std::make_unique<faiss::IndexIVFPQFastScan>(quantizer_.get(), base.dim, lists,
                                                         base.dim / 2, 4);
    codes_->cp.niter = kIterations;
    index_ = std::make_unique<faiss::IndexRefineFlat>(codes_.get());
    omp_set_num_threads(threads);
    index_->train(static_cast<idx_t>(base.rows()), base.values.data());
    index_->add(static_cast<idx_t>(base.rows()), base.values.data());
    omp_set_num_threads(1);
  }
  size_t n_settings() const override { return std::size(kRefine) * std::size(kProbes); }
  size_t group() const override { return std::size(kProbes); }
  std::string Set(size_t i) override {
    codes_->nprobe = kProbes[i % std::size(kProbes)];
    index_->k_factor = kRefine[i / std::size(kProbes)];
    return "nprobe " + std::to_string(codes_->nprobe) + ", k_factor " +
           std::to_string(static_cast<int>(index_->k_factor));
  }
  void Search(const float* query, uint32_t* rows) override { SearchFaiss(*index_, query, rows); }

 private:
  std::unique_ptr<faiss::IndexFlatL2> quantizer_;
  std::unique_ptr<faiss::IndexIVFPQFastScan> codes_;
  std::unique_ptr<faiss::IndexRefineFlat> index_;
};

}  // namespace

std::unique_ptr<Peer> MakeFaissHnsw() { return std::make_unique<FaissHnsw>(); }
std::unique_ptr<Peer> MakeFaissIvfPq() { return std::make_unique<FaissIvfPq>(); }

}  // namespace vdb::bench
