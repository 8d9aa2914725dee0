// Recall against microseconds of the search core in one process, with the time by part.
//
//   core_bench [BASE.npy QUERIES.npy] [--metric l2|ip|cosine|l1] [--bits N] [--lists N]
//              [--queries N] [--target RECALL]
//
// Without files: the WordNet embeddings of test/data. One line at the calibrated theta, one for
// each step of a sweep, and by interpolation the time at recall .95, .98 and .99.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "engine/memory_index.h"
#include "index/list_order.h"
#include "index/query.h"
#include "simd/distance.h"
#include "unit/index_samples.h"

namespace vdb {
namespace {

using engine::MemoryIndex;
using testing::Matrix;

constexpr size_t kRank = 10;
constexpr int kRepetitions = 15;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Config {
  std::string base = VDB_TEST_DATA_DIR "/wordnet-use512-20k.npy";
  std::string queries = VDB_TEST_DATA_DIR "/wordnet-use512-queries.npy";
  engine::MemoryIndexOptions index;
  size_t n_queries = 1000;
};

struct Measured {
  double recall = 0, us = 1e9, begin_us = 0, scan_us = 0, exact_us = 0;
  index::SearchStats stats;
};

using Truth = std::vector<std::vector<MemoryIndex::Hit>>;

Truth FindTruth(const MemoryIndex& index, const Matrix& base, const Matrix& queries, size_t n) {
  Truth truth(n);
  const auto work = [&](size_t first) {
    for (size_t q = first; q < n; q += 2) {
      truth[q] =
          testing::BruteForce(index, base, queries.row(q), kRank, [](uint32_t) { return true; });
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  return truth;
}

// Of each query the quickest of the repetitions counts: what else the machine does is left out.
Measured Measure(const MemoryIndex& index, const Matrix& queries, const Truth& truth,
                 index::Searcher* searcher) {
  const index::SegmentView view = index.view();
  std::vector<MemoryIndex::Hit> hits;
  std::vector<Measured> quickest(truth.size());
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    for (size_t q = 0; q < truth.size(); ++q) {
      const float* query = queries.row(q);
      hits.clear();
      const double begin = Now();
      searcher->Begin({&view, 1}, query, {});
      const double scan = Now();
      double exact = 0;
      while (hits.size() < kRank) {
        index::Searcher::Step step;
        index::RowId row;
        double distance;
        if (!searcher->Next(&step, &row, &distance).ok()) std::abort();
        if (exact == 0) {
          exact = Now();
          index.ReadAhead(*searcher);
        }
        if (step == index::Searcher::Step::kDone) break;
        if (step == index::Searcher::Step::kNeedExact) {
          searcher->SetExact(index.Distance(query, index.MatrixRow(row)));
        } else {
          hits.push_back({index.MatrixRow(row), distance});
        }
      }
      const double end = Now();
      if ((end - begin) * 1e6 >= quickest[q].us) continue;
      quickest[q] = {testing::RecallOf(hits, truth[q]),
                     (end - begin) * 1e6,
                     (scan - begin) * 1e6,
                     (exact - scan) * 1e6,
                     (end - exact) * 1e6,
                     searcher->stats()};
    }
  }
  Measured sum;
  sum.us = 0;
  for (const Measured& m : quickest) {
    sum.recall += m.recall;
    sum.us += m.us;
    sum.begin_us += m.begin_us;
    sum.scan_us += m.scan_us;
    sum.exact_us += m.exact_us;
    sum.stats.lists += m.stats.lists;
    sum.stats.rows_scanned += m.stats.rows_scanned;
    sum.stats.survivors += m.stats.survivors;
    sum.stats.exact += m.stats.exact;
    sum.stats.rounds += m.stats.rounds;
  }
  for (double* value : {&sum.recall, &sum.us, &sum.begin_us, &sum.scan_us, &sum.exact_us}) {
    *value /= static_cast<double>(truth.size());
  }
  return sum;
}

void Print(float theta, const Measured& m, size_t n) {
  const auto mean = [n](uint64_t sum) { return static_cast<double>(sum) / static_cast<double>(n); };
  std::printf(
      "theta %6.3f recall %.4f %7.1f us | begin %.1f scan %.1f exact %.1f | lists %.1f codes %.0f "
      "survivors %.0f exact %.1f rounds %.2f\n",
      theta, m.recall, m.us, m.begin_us, m.scan_us, m.exact_us, mean(m.stats.lists),
      mean(m.stats.rows_scanned), mean(m.stats.survivors), mean(m.stats.exact),
      mean(m.stats.rounds));
}

// What Begin consists of.
void PrintParts(const MemoryIndex& index, const Matrix& queries, size_t n) {
  index::PreparedQuery prepared(index.space(), index.layout());
  AlignedBuffer<float> rotated(index.layout().dim);
  index::ListOrder order;
  const index::Routing* routing = &index.routing();
  double rotate = 1e9, prepare = 1e9, rank = 1e9;
  const double per_query = 1e6 / static_cast<double>(n);
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    double start = Now();
    for (size_t q = 0; q < n; ++q) index.space().Query(queries.row(q), rotated.data());
    rotate = std::min(rotate, (Now() - start) * per_query);
    start = Now();
    for (size_t q = 0; q < n; ++q) prepared.Prepare(queries.row(q));
    prepare = std::min(prepare, (Now() - start) * per_query);
    start = Now();
    for (size_t q = 0; q < n; ++q) {
      order.Begin({&routing, 1}, prepared,
                  index.space().estimator() == quant::Estimator::kInnerProduct, false);
      order.Next(std::numeric_limits<float>::infinity());
    }
    rank = std::min(rank, (Now() - start) * per_query);
  }
  std::printf("parts of begin: rotation %.2f us, table %.2f us, ranking and first lists %.2f us\n",
              rotate, prepare - rotate, rank);
}

bool Parse(int argc, char** argv, Config* config) {
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.rfind("--", 0) != 0) {
      files.push_back(flag);
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string value = argv[++i];
    if (flag == "--metric") {
      config->index.metric = value == "ip"       ? Metric::kInnerProduct
                             : value == "cosine" ? Metric::kCosine
                             : value == "l1"     ? Metric::kL1
                                                 : Metric::kL2;
    } else if (flag == "--bits") {
      config->index.code_bits = static_cast<uint32_t>(std::stoul(value));
    } else if (flag == "--lists") {
      config->index.lists = static_cast<uint32_t>(std::stoul(value));
    } else if (flag == "--queries") {
      config->n_queries = std::stoul(value);
    } else if (flag == "--target") {
      config->index.recall_target = std::stof(value);
    } else {
      return false;
    }
  }
  if (files.size() == 2) {
    config->base = files[0];
    config->queries = files[1];
  }
  return files.empty() || files.size() == 2;
}

int Main(int argc, char** argv) {
  Config config;
  if (!Parse(argc, argv, &config)) {
    std::fprintf(stderr, "usage: see the head of core_bench.cpp\n");
    return 2;
  }
  const Matrix base = testing::LoadNpy(config.base);
  const Matrix queries = testing::LoadNpy(config.queries);
  if (base.rows() == 0 || queries.dim != base.dim) {
    std::fprintf(stderr, "cannot read the vectors\n");
    return 1;
  }
  const size_t n = std::min(config.n_queries, queries.rows());
  double start = Now();
  Result<MemoryIndex> built = MemoryIndex::Build(base.values, base.dim, config.index);
  if (!built.ok()) {
    std::fprintf(stderr, "%s\n", built.status().message().c_str());
    return 1;
  }
  MemoryIndex& index = *built;
  const index::Calibration calibration = index.routing().calibration;
  std::printf("%zu x %u, %u lists, %u bits, %s: built in %.1f s\n", base.rows(), base.dim,
              index.routing().n_lists, index.layout().bits, simd::TargetName(), Now() - start);
  std::printf("calibrated: theta %.3f recall %.4f lists %.1f (80 %%: %.0f) codes %.0f\n",
              calibration.theta, calibration.measured_recall, calibration.mean_lists,
              calibration.p80_lists, calibration.mean_rows);
  const Truth truth = FindTruth(index, base, queries, n);
  index::Searcher searcher(index.space(), index.layout());
  PrintParts(index, queries, n);
  Print(calibration.theta, Measure(index, queries, truth, &searcher), n);

  Measured previous;
  size_t next = 0;
  constexpr double kTargets[] = {.95, .98, .99};
  for (float theta = calibration.theta - .1f; theta < calibration.theta + 1 && next < 3;
       theta += .0125f) {
    index.set_theta(theta);
    const Measured m = Measure(index, queries, truth, &searcher);
    Print(theta, m, n);
    for (; next < 3 && m.recall >= kTargets[next]; ++next) {
      if (previous.recall == 0) continue;
      const double share = (kTargets[next] - previous.recall) / (m.recall - previous.recall);
      std::printf("==> recall %.2f: %.1f us\n", kTargets[next],
                  previous.us + share * (m.us - previous.us));
    }
    previous = m;
  }
  return 0;
}

}  // namespace
}  // namespace vdb

int main(int argc, char** argv) { return vdb::Main(argc, argv); }
