/// The numbers by which a build shapes an index; vdb.estimate goes by the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "format/chunk.h"
#include "quant/code_layout.h"

namespace vdb::pg {

// Below this there is nothing to train: comparing every code costs less than ranking lists saves.
inline constexpr uint64_t kMinTrainedRows = 2000;
// Points a centroid is trained on: 256 scan at most 10 % less, 12 cost 35 % more.
inline constexpr double kPointsPerList = 64;
inline constexpr size_t kCalibrationQueries = 1000;

/// Share of a build's memory that the sample may take. It is held once, a tenth of it a second
/// time, prepared as queries; the rest is for training.
inline constexpr double kSampleShare = 0.45;

/// Rows to sample for a build of so many lists.
inline constexpr double WantedSample(double lists) {
  const double training = std::max(lists * kPointsPerList, double{kMinTrainedRows});
  return (training + kCalibrationQueries) * 1.1;
}

/// A list longer than this is cut into several with the same centroid: equal vectors, which no
/// clustering separates, must still fit into chunks and be scanned in pieces.
/// row_bytes: of a row's code and, where it is stored, its vector.
inline constexpr uint32_t MaxListRows(size_t row_bytes) {
  const size_t rows = std::min(size_t{4096}, (size_t{4} << 20) / row_bytes);
  return static_cast<uint32_t>(std::max<size_t>(rows / 32 * 32, 32));
}

/// Plaintext of a chunk that a build with this much memory (maintenance_work_mem, kB) holds. A list
/// that is longer is a chunk of its own.
inline constexpr uint32_t MaxChunkBytes(int work_mem_kb) {
  return static_cast<uint32_t>(
      std::clamp<size_t>(size_t{1024} * static_cast<size_t>(work_mem_kb) / 8, size_t{1} << 20,
                         format::kMaxChunkBytes));
}

/// Of objects on their way into a remote store, a few of which are there whatever their size. A
/// line of 100 MB a second with a delay of 60 ms is full with half of the most.
inline constexpr uint64_t MaxUploadBytes(int work_mem_kb) {
  return std::min<uint64_t>(uint64_t{1024} * static_cast<uint64_t>(work_mem_kb) / 8, 64u << 20);
}

/// What writing chunks takes: one, which is copied where its regions are put together and grows in
/// steps, and those on their way.
inline constexpr uint32_t WriteBytes(uint32_t chunk_bytes, bool remote, int work_mem_kb) {
  const uint64_t sent = std::max(MaxUploadBytes(work_mem_kb), uint64_t{3} * chunk_bytes);
  return static_cast<uint32_t>(uint64_t{4} * chunk_bytes + (remote ? sent : 0));
}

/// Rows that are assigned together: enough to keep the assignment kernel's tiles full, few enough
/// for the processor's cache and for a sixteenth of the memory.
inline constexpr uint32_t kMaxBatchRows = 96;
inline constexpr uint32_t BatchRows(int work_mem_kb, uint32_t padded_dim) {
  const size_t rows = size_t{1024} * static_cast<size_t>(work_mem_kb) / 16 / (padded_dim * 4);
  return static_cast<uint32_t>(std::clamp<size_t>(rows / 6 * 6, 12, kMaxBatchRows));
}

/// Bits of the codes of an index that asks for `code_bits`. In one dimension 1: a residual is its
/// sign and its length, so more bits hold nothing; and what a rotation makes of it has few distinct
/// coordinates, so that roundings of the query, which the other bits suffer from most, add up.
inline int CodeBitsFor(int dim, int code_bits) { return dim == 1 ? 1 : code_bits; }

}  // namespace vdb::pg
