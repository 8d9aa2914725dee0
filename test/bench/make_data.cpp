// Makes a set of the benchmark: PREFIX-base.npy, PREFIX-queries.npy and PREFIX-truth.npy.
//
//   make_data PREFIX copy BASE.npy QUERIES.npy      as they are
//   make_data PREFIX glove FILE.json ROWS QUERIES   words taken at random, brought to unit length
//   make_data PREFIX mixture ROWS DIM QUERIES       clusters with correlated dimensions
//   make_data PREFIX uniform ROWS DIM QUERIES       no structure at all
//   make_data PREFIX shifted ROWS DIM QUERIES       a mixture far from the origin
//   make_data PREFIX duplicates ROWS DIM QUERIES    a mixture with 1 % duplicates
//   make_data PREFIX foreign ROWS DIM QUERIES       queries from another mixture than the rows
//
// The same arguments give the same files.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "bench/dataset.h"
#include "simd/distance.h"

namespace vdb::bench {
namespace {

constexpr uint64_t kSeed = 20260;

// Rows about centres, the clusters' sizes falling off as 1/sqrt(number). A cluster's noise falls
// off over the dimensions, as the variance of embeddings does over their principal components; it
// starts at another dimension in each cluster.
class Mixture {
 public:
  Mixture(size_t clusters, uint32_t dim, float shift, uint64_t seed)
      : dim_(dim), shift_(shift), centres_(clusters * dim), scales_(dim) {
    SplitMix64 random(seed);
    for (float& x : centres_) x = testing::Gaussian(&random);
    for (uint32_t j = 0; j < dim; ++j) {
      scales_[j] = 1.5f / std::sqrt(1 + 16.f * static_cast<float>(j) / static_cast<float>(dim));
    }
  }

  Matrix Draw(size_t rows, uint64_t seed) const {
    SplitMix64 random(seed);
    Matrix out{dim_, std::vector<float>(rows * dim_)};
    const size_t clusters = centres_.size() / dim_;
    for (size_t i = 0; i < rows; ++i) {
      const double unit = random.Unit();
      const auto cluster = static_cast<size_t>(unit * unit * static_cast<double>(clusters));
      for (uint32_t j = 0; j < dim_; ++j) {
        const float noise = scales_[(j + 37 * cluster) % dim_] * testing::Gaussian(&random);
        out.values[i * dim_ + j] = shift_ + centres_[cluster * dim_ + j] + noise;
      }
    }
    return out;
  }

 private:
  uint32_t dim_;
  float shift_;
  std::vector<float> centres_, scales_;
};

Matrix Uniform(size_t rows, uint32_t dim, uint64_t seed) {
  SplitMix64 random(seed);
  Matrix out{dim, std::vector<float>(rows * dim)};
  for (float& x : out.values) x = static_cast<float>(random.Unit());
  return out;
}

// Half a per cent of the rows become one row, half a per cent copies of rows here and there; every
// tenth query asks for the row that there is so often.
void Duplicate(Matrix* base, Matrix* queries, uint64_t seed) {
  SplitMix64 random(seed);
  const size_t rows = base->rows(), dim = base->dim;
  const auto copy = [&](size_t from, float* to) { std::copy_n(base->row(from), dim, to); };
  for (size_t i = 0; i < rows / 100; ++i) {
    const size_t from = i % 2 == 0 ? 0 : random.Below(rows);
    copy(from, base->values.data() + random.Below(rows) * dim);
  }
  for (size_t q = 0; q < queries->rows(); q += 10) copy(0, queries->values.data() + q * dim);
}

// Takes the arrays of numbers in the object "vectors"; there are two more numbers in each.
class VectorsReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit VectorsReader(uint32_t dim) { rows.dim = dim; }
  Matrix rows;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t x) override { return Number(static_cast<float>(x)); }
  bool number_unsigned(number_unsigned_t x) override { return Number(static_cast<float>(x)); }
  bool number_float(number_float_t x, const string_t&) override {
    return Number(static_cast<float>(x));
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return ++depth_, true; }
  bool end_object() override { return --depth_, true; }
  bool key(string_t& key) override {
    if (depth_ == 1) inside_ = key == "vectors";
    return true;
  }
  bool start_array(size_t) override { return vector_.clear(), true; }
  bool end_array() override {
    if (!inside_ || depth_ != 2 || vector_.size() < rows.dim) return true;
    rows.values.insert(rows.values.end(), vector_.begin(), vector_.begin() + rows.dim);
    return true;
  }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception& e) override {
    std::fprintf(stderr, "at byte %zu: %s\n", at, e.what());
    return false;
  }

 private:
  bool Number(float x) {
    if (inside_) vector_.push_back(x);
    return true;
  }
  int depth_ = 0;
  bool inside_ = false;
  std::vector<float> vector_;
};

bool ReadGlove(const std::string& path, size_t n_base, size_t n_queries, Matrix* base,
               Matrix* queries) {
  constexpr uint32_t kDim = 100;
  std::ifstream file(path, std::ios::binary);
  VectorsReader reader(kDim);
  if (!nlohmann::json::sax_parse(file, &reader)) return false;
  Matrix& all = reader.rows;
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < all.rows(); ++i) {
    float* row = all.values.data() + size_t{i} * kDim;
    const float norm = std::sqrt(simd::Dot(row, row, kDim));
    if (norm > 0) order.push_back(i);
    for (uint32_t j = 0; j < kDim && norm > 0; ++j) row[j] /= norm;
  }
  if (order.size() < n_base + n_queries) return false;
  SplitMix64 random(kSeed);
  for (size_t i = 0; i < n_base + n_queries; ++i) {
    std::swap(order[i], order[i + random.Below(order.size() - i)]);
    Matrix* to = i < n_base ? base : queries;
    to->dim = kDim;
    to->values.insert(to->values.end(), all.row(order[i]), all.row(order[i]) + kDim);
  }
  return true;
}

bool Make(const std::string& kind, char** arguments, int n, Matrix* base, Matrix* queries) {
  if (kind == "glove" && n == 3) {
    return ReadGlove(arguments[0], std::stoul(arguments[1]), std::stoul(arguments[2]), base,
                     queries);
  }
  if (kind == "copy" && n == 2) {
    *base = testing::LoadNpy(arguments[0]);
    *queries = testing::LoadNpy(arguments[1]);
    return base->rows() > 0 && queries->dim == base->dim;
  }
  if (n != 3) return false;
  const size_t rows = std::stoul(arguments[0]), n_queries = std::stoul(arguments[2]);
  const auto dim = static_cast<uint32_t>(std::stoul(arguments[1]));
  if (kind == "uniform") {
    *base = Uniform(rows, dim, kSeed);
    *queries = Uniform(n_queries, dim, kSeed + 1);
    return true;
  }
  constexpr float kFar = 100;  // times the deviation of the centres
  const auto clusters = static_cast<size_t>(std::sqrt(static_cast<double>(rows)));
  const Mixture mixture(clusters, dim, kind == "shifted" ? kFar : 0, kSeed);
  *base = mixture.Draw(rows, kSeed + 1);
  if (kind == "foreign") {
    *queries = Mixture(clusters, dim, 0, kSeed + 3).Draw(n_queries, kSeed + 2);
  } else {
    *queries = mixture.Draw(n_queries, kSeed + 2);
  }
  if (kind == "duplicates") Duplicate(base, queries, kSeed);
  return kind == "mixture" || kind == "shifted" || kind == "duplicates" || kind == "foreign";
}

int Main(int argc, char** argv) {
  Matrix base, queries;
  if (argc < 3 || !Make(argv[2], argv + 3, argc - 3, &base, &queries)) {
    std::fprintf(stderr, "cannot make this set: see the head of make_data.cpp\n");
    return 1;
  }
  const std::string prefix = argv[1];
  SaveNpy(prefix + "-base.npy", base);
  SaveNpy(prefix + "-queries.npy", queries);
  SaveNpy(prefix + "-truth.npy", FindTruth(base, queries));
  return 0;
}

}  // namespace
}  // namespace vdb::bench

int main(int argc, char** argv) { return vdb::bench::Main(argc, argv); }
