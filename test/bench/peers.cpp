// Builds one index after the other in this process and measures recall against time, one thread.
//
//   peers PREFIX [--peers core,exact,hnswlib,faiss-hnsw,faiss-ivfpq] [--queries N] [--passes N]
//
// Prints one JSON object a line for each peer: build seconds and threads, and for each setting mean
// recall@10 and microseconds. A query's time is that of its quickest pass: what else the machine
// does is left out, for every peer alike.
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/dataset.h"
#include "bench/peer.h"

namespace vdb::bench {
namespace {

using Json = nlohmann::json;

constexpr double kEnough = .995;    // recall where a group of settings ends
constexpr double kSlow_s = 500e-6;  // a mean above this is measured in fewer passes
constexpr size_t kSlowPasses = 3;
constexpr size_t kExactQueries = 50;

struct Config {
  std::string prefix, peers = "core,exact,hnswlib,faiss-hnsw,faiss-ivfpq";
  size_t queries = 1000, passes = 10;
};

std::unique_ptr<Peer> Make(const std::string& name) {
  if (name == "core") return MakeCore();
  if (name == "exact") return MakeExact();
  if (name == "hnswlib") return MakeHnswlib();
  if (name == "faiss-hnsw") return MakeFaissHnsw();
  if (name == "faiss-ivfpq") return MakeFaissIvfPq();
  return nullptr;
}

Json MeasurePoint(Peer* peer, const Dataset& set, size_t queries, size_t passes) {
  std::vector<double> quickest(queries, 1e9);
  double recall = 0;
  for (size_t pass = 0; pass < passes; ++pass) {
    double total = 0;
    for (size_t q = 0; q < queries; ++q) {
      uint32_t rows[kRank];
      const double start = Seconds();
      peer->Search(set.queries.row(q), rows);
      const double elapsed = Seconds() - start;
      quickest[q] = std::min(quickest[q], elapsed);
      total += elapsed;
      if (pass == 0) recall += set.Recall(q, rows) / static_cast<double>(queries);
    }
    if (total / static_cast<double>(queries) > kSlow_s && pass + 1 >= kSlowPasses) break;
  }
  const Spread spread = SpreadOf(&quickest);
  return {{"recall", recall},
          {"us", spread.mean * 1e6},
          {"p50_us", spread.p50 * 1e6},
          {"p99_us", spread.p99 * 1e6}};
}

Json MeasurePeer(const std::string& name, const Dataset& set, const Config& config) {
  std::unique_ptr<Peer> peer = Make(name);
  const int threads = name == "core" || name == "exact" ? 1 : 2;
  const double start = Seconds();
  peer->Build(set.base, threads);
  Json result = {{"peer", name}, {"build_s", Seconds() - start}, {"build_threads", threads}};
  const size_t limit = name == "exact" ? kExactQueries : config.queries;
  const size_t queries = std::min(limit, set.queries.rows());
  Json points = Json::array();
  for (size_t i = 0; i < peer->n_settings(); ++i) {
    const std::string setting = peer->Set(i);
    Json point = MeasurePoint(peer.get(), set, queries, config.passes);
    const bool enough = point["recall"] >= kEnough && !(name == "core" && i == 0);
    point["setting"] = setting;
    points.push_back(point);
    if (enough) i = (i / peer->group() + 1) * peer->group() - 1;
  }
  result["points"] = points;
  return result;
}

int Main(int argc, char** argv) {
  Config config;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.rfind("--", 0) != 0) {
      config.prefix = flag;
    } else if (i + 1 == argc) {
      config.prefix.clear();
    } else if (flag == "--peers") {
      config.peers = argv[++i];
    } else if (flag == "--queries") {
      config.queries = std::stoul(argv[++i]);
    } else if (flag == "--passes") {
      config.passes = std::stoul(argv[++i]);
    }
  }
  if (config.prefix.empty()) {
    std::fprintf(stderr, "usage: see the head of peers.cpp\n");
    return 2;
  }
  const Dataset set = LoadDataset(config.prefix);
  std::istringstream names(config.peers);
  for (std::string name; std::getline(names, name, ',');) {
    if (Make(name) == nullptr) {
      std::fprintf(stderr, "no such peer: %s\n", name.c_str());
      return 2;
    }
    std::printf("%s\n", MeasurePeer(name, set, config).dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace vdb::bench

int main(int argc, char** argv) { return vdb::bench::Main(argc, argv); }
