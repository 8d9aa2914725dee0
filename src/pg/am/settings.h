/// The access method's settings (GUCs) and index options (reloptions).
#pragma once

#include "pg/pg.h"

namespace vdb::pg {

enum class IterativeScan : int { kStrictOrder, kRelaxedOrder };

/// Where a search takes exact distances from.
enum class Rerank : int { kHeap, kChunk };

struct Settings {
  double recall_target = 0.95;
  int probes = 0;  // 0: the calibrated rule
  int iterative_scan = static_cast<int>(IterativeScan::kStrictOrder);
  int rerank = static_cast<int>(Rerank::kHeap);
  int max_scan_tuples = -1;  // -1: no limit
  bool encrypt_at_rest = true;
  int chunk_size = 10000;
  char* default_store = nullptr;  // a server's name; empty: local
};
extern Settings settings;

inline constexpr int kMinChunkSize = 1000, kMaxChunkSize = 1000000;
inline constexpr int kMaxLists = 1000000;

/// Defines the settings; called once by _PG_init.
void DefineSearchSettings();

/// Adds the option kind; called once by _PG_init.
void DefineIndexOptions();

/// Options of an index as parsed; strings at offsets.
struct IndexOptions {
  int32 vl_len_;
  int index_type;  // IndexType
  int lists;       // 0: automatic
  int code_bits;
  int chunk_size;       // -1: vdb.chunk_size
  int encrypt_at_rest;  // BoolOption
  int store_vectors;    // BoolOption; left alone: for remote stores
  int store;            // offset of a server's name; 0: none was given
};
/// What the option `store` calls the index's own relation.
inline constexpr char kLocalStore[] = "local";
enum class IndexType : int { kIvf };
/// A yes-no option that may also be left to the setting.
enum class BoolOption : int { kOff, kOn, kSetting };

/// The index's options; defaults where it has none. `store` is not an offset into it: see StoreOf.
IndexOptions OptionsOf(Relation index);

/// The option `store` of the index, or null.
const char* StoreOf(Relation index);

bytea* ParseIndexOptions(Datum reloptions, bool validate);

}  // namespace vdb::pg
