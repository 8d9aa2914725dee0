#include "index/routing.h"

#include <algorithm>
#include <cstring>

#include "base/aligned.h"
#include "simd/scan.h"

namespace vdb::index {
namespace {

constexpr uint32_t kGroup = 16;  // of simd::InterleaveCentroids

constexpr size_t RoundUp(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Offsets of the arrays behind the header, each on a cache line; float arrays are padded to whole
// groups, so that kernels may read them by the group.
struct ImageLayout {
  size_t rows, interleaved, sums, scale, norm_sq, radius, lists, end;

  ImageLayout(size_t n, size_t dim, size_t header) {
    const size_t padded = RoundUp(n, kGroup);
    size_t at = RoundUp(header, kCacheLine);
    const auto take = [&at](size_t bytes) {
      const size_t here = at;
      at += RoundUp(bytes, kCacheLine);
      return here;
    };
    rows = take(n * dim);
    interleaved = take(padded * dim);
    sums = take(padded * sizeof(int32_t));
    scale = take(padded * sizeof(float));
    norm_sq = take(padded * sizeof(float));
    radius = take(padded * sizeof(float));
    lists = take(n * sizeof(ListEntry));
    end = at + kCacheLine;  // a vector load that starts in the last array stays inside
  }
};

struct ImageHeader {
  uint32_t n_lists, dim;
  uint64_t n_rows;
  Calibration calibration;
};

}  // namespace

size_t RoutingImageBytes(uint32_t n_lists, uint32_t dim) {
  return ImageLayout(n_lists, dim, sizeof(ImageHeader)).end;
}

Status WriteRoutingImage(const RoutingSource& source, std::span<uint8_t> image) {
  const size_t n = source.lists.size();
  const size_t dim = source.dim;
  if (dim == 0 || dim % 64 != 0 || n > UINT32_MAX - kGroup || source.centroids.size() != n * dim ||
      source.scale.size() != n || source.radius.size() != n ||
      image.size() < RoutingImageBytes(static_cast<uint32_t>(n), source.dim)) {
    return InvalidArgument("sizes of a routing image do not fit together");
  }
  const ImageLayout layout(n, dim, sizeof(ImageHeader));
  uint8_t* base = image.data();
  std::memset(base, 0, layout.end);

  ImageHeader header{};
  header.n_lists = static_cast<uint32_t>(n);
  header.dim = source.dim;
  header.calibration = source.calibration;
  for (const ListEntry& list : source.lists) header.n_rows += list.rows;
  std::memcpy(base, &header, sizeof(header));

  auto* rows = reinterpret_cast<int8_t*>(base + layout.rows);
  auto* norm_sq = reinterpret_cast<float*>(base + layout.norm_sq);
  if (n > 0) {
    std::memcpy(rows, source.centroids.data(), n * dim);
    std::memcpy(base + layout.scale, source.scale.data(), n * sizeof(float));
    std::memcpy(base + layout.radius, source.radius.data(), n * sizeof(float));
    std::memcpy(base + layout.lists, source.lists.data(), n * sizeof(ListEntry));
    simd::InterleaveCentroids(rows, n, dim, reinterpret_cast<int8_t*>(base + layout.interleaved),
                              reinterpret_cast<int32_t*>(base + layout.sums));
  }
  for (size_t i = 0; i < n; ++i) {
    int64_t sum = 0;
    for (size_t j = 0; j < dim; ++j) sum += int32_t{rows[i * dim + j]} * rows[i * dim + j];
    const double scale = source.scale[i];
    norm_sq[i] = static_cast<float>(static_cast<double>(sum) * scale * scale);
  }
  return {};
}

Routing ViewRoutingImage(const uint8_t* image) {
  ImageHeader header;
  std::memcpy(&header, image, sizeof(header));
  const ImageLayout layout(header.n_lists, header.dim, sizeof(ImageHeader));
  Routing routing;
  routing.n_lists = header.n_lists;
  routing.dim = header.dim;
  routing.n_rows = header.n_rows;
  routing.rows = reinterpret_cast<const int8_t*>(image + layout.rows);
  routing.interleaved = reinterpret_cast<const int8_t*>(image + layout.interleaved);
  routing.sums = reinterpret_cast<const int32_t*>(image + layout.sums);
  routing.scale = reinterpret_cast<const float*>(image + layout.scale);
  routing.norm_sq = reinterpret_cast<const float*>(image + layout.norm_sq);
  routing.radius = reinterpret_cast<const float*>(image + layout.radius);
  routing.lists = reinterpret_cast<const ListEntry*>(image + layout.lists);
  routing.calibration = header.calibration;
  return routing;
}

}  // namespace vdb::index
