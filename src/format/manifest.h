/// The manifest: `manifest-<generation>.json`, version 2. What a published index is made of, for
/// people and for programs that read its objects without PostgreSQL. It is the one object that is
/// not encrypted, so it holds counts, sizes, ids and names, and nothing else. docs/format.md
/// describes it.
///
/// The pages are the truth; a manifest only repeats it, and nothing is ever read because a manifest
/// says so.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "format/shape.h"

namespace vdb::format {

inline constexpr int kManifestVersion = 2;
/// The longest manifest that is read.
inline constexpr size_t kMaxManifestBytes = 64u << 20;

using ObjectId = std::array<uint8_t, 32>;

/// A reference to an object.
struct ManifestObject {
  ObjectId id;      // BLAKE3 of the stored bytes
  std::string cid;  // the same as S5 writes it, with the size
  uint64_t bytes;   // stored

  bool operator==(const ManifestObject&) const = default;
};

struct ManifestChunk {
  ManifestObject object;
  uint64_t vectors;
  uint32_t first_list, lists;

  bool operator==(const ManifestChunk&) const = default;
};

struct Manifest {
  Uuid index;
  uint64_t epoch;                     // the index's generation
  std::optional<std::string> parent;  // CID of the manifest that this one replaces
  uint32_t dimensions;
  Metric metric;
  ElementType element;
  uint32_t chunk_size;  // vectors a chunk, about
  uint64_t total_vectors;
  uint32_t lists;
  ManifestObject routing;
  std::vector<ManifestChunk> chunks;  // in order of list

  bool operator==(const Manifest&) const = default;
};

/// Errors: kInvalidArgument: as ParseManifest would.
Result<std::string> WriteManifest(const Manifest& manifest);

/// Errors: kUnsupported naming a version that is not known, or "hnsw_structure"; kCorruption saying
/// what is wrong: no JSON, a field that is missing, of another type, out of range or unknown,
/// chunks that overlap or leave a gap, counts that do not add up. That a CID is its id's is for the
/// reader to compare.
Result<Manifest> ParseManifest(std::string_view json);

}  // namespace vdb::format
