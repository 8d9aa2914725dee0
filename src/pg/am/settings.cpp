#include "pg/am/settings.h"

#include <climits>
#include <cstring>

extern "C" {
#include "foreign/foreign.h"
}

namespace vdb::pg {

Settings settings;

namespace {

relopt_kind options_kind;

const config_enum_entry kIterativeScanNames[] = {
    {"strict_order", static_cast<int>(IterativeScan::kStrictOrder), false},
    {"relaxed_order", static_cast<int>(IterativeScan::kRelaxedOrder), false},
    {nullptr, 0, false}};

const config_enum_entry kRerankNames[] = {{"heap", static_cast<int>(Rerank::kHeap), false},
                                          {"chunk", static_cast<int>(Rerank::kChunk), false},
                                          {nullptr, 0, false}};

relopt_enum_elt_def index_type_names[] = {{"ivf", static_cast<int>(IndexType::kIvf)}, {nullptr, 0}};
relopt_enum_elt_def bool_names[] = {{"on", static_cast<int>(BoolOption::kOn)},
                                    {"true", static_cast<int>(BoolOption::kOn)},
                                    {"yes", static_cast<int>(BoolOption::kOn)},
                                    {"1", static_cast<int>(BoolOption::kOn)},
                                    {"off", static_cast<int>(BoolOption::kOff)},
                                    {"false", static_cast<int>(BoolOption::kOff)},
                                    {"no", static_cast<int>(BoolOption::kOff)},
                                    {"0", static_cast<int>(BoolOption::kOff)},
                                    {nullptr, 0}};

constexpr int kDefaultCodeBits = 5;

/// Turning encryption off is as much a superuser's business by the option as by the setting.
/// Checked where an option is set; what the catalog holds has been checked, so that an owner can
/// REINDEX. A command runs as the table's owner, and is asked for by the outer user: a superuser
/// who restores a dump, say.
void RequireMayEncryptSo(const IndexOptions& options) {
  if (options.encrypt_at_rest != static_cast<int>(BoolOption::kOff) || !settings.encrypt_at_rest ||
      superuser() || superuser_arg(GetOuterUserId())) {
    return;
  }
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied to turn off the encryption of an index"),
                  errhint("Must be superuser, while \"vdb.encrypt_at_rest\" is on. A superuser can "
                          "set it for a database or a role.")));
}

/// The option `store`; null: it is not set.
const char* StoreIn(const IndexOptions& options) {
  if (options.store == 0) return nullptr;
  return reinterpret_cast<const char*>(&options) + options.store;
}

/// 42704 unless there is that server. Looked at where an option is set, too, because a rebuild
/// could not tell a slip from the old name of a server that was renamed. pg_upgrade restores what
/// was.
void RequireStore(const IndexOptions& options) {
  const char* const name = StoreIn(options);
  if (name == nullptr || std::strcmp(name, kLocalStore) == 0 || IsBinaryUpgrade) return;
  (void)get_foreign_server_oid(name, false);
}

}  // namespace

void DefineSearchSettings() {
  DefineCustomRealVariable(
      "vdb.recall_target", "Share of the true nearest rows that a search should find.",
      "Read by CREATE INDEX and REINDEX, which calibrate the index for it.",
      &settings.recall_target, 0.95, 0.5, 0.999, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "vdb.probes", "Lists that a search reads; 0 leaves it to the calibrated rule.", nullptr,
      &settings.probes, 0, 0, kMaxLists, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable(
      "vdb.iterative_scan", "What becomes of a row found nearer than one already returned.",
      "strict_order drops and counts it; relaxed_order returns it out of order.",
      &settings.iterative_scan, static_cast<int>(IterativeScan::kStrictOrder), kIterativeScanNames,
      PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable(
      "vdb.rerank", "Where a search takes the vectors for exact distances from.",
      "chunk: from the index's objects, where they hold vectors; heap, and elsewhere: from the "
      "table.",
      &settings.rerank, static_cast<int>(Rerank::kHeap), kRerankNames, PGC_USERSET, 0, nullptr,
      nullptr, nullptr);
  DefineCustomIntVariable("vdb.max_scan_tuples",
                          "Rows that one scan may return before it ends; -1 sets no limit.",
                          nullptr, &settings.max_scan_tuples, -1, -1, INT_MAX, PGC_USERSET, 0,
                          nullptr, nullptr, nullptr);
  DefineCustomBoolVariable(
      "vdb.encrypt_at_rest", "Whether new indexes encrypt the objects they are made of.", nullptr,
      &settings.encrypt_at_rest, true, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("vdb.chunk_size", "Rows a chunk object of a new index holds, about.",
                          nullptr, &settings.chunk_size, 10000, kMinChunkSize, kMaxChunkSize,
                          PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "vdb.default_store", "Server of the store in which new indexes keep their objects.",
      "Empty: in the index itself. Written into the index's options.", &settings.default_store, "",
      PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

void DefineIndexOptions() {
  options_kind = add_reloption_kind();
  const LOCKMODE lock = ShareUpdateExclusiveLock;
  add_enum_reloption(options_kind, "index_type", "Structure of the index.", index_type_names,
                     static_cast<int>(IndexType::kIvf), "Valid values are \"ivf\".", lock);
  add_int_reloption(options_kind, "lists", "Lists of the index; 0 chooses by the number of rows.",
                    0, 0, kMaxLists, lock);
  add_int_reloption(options_kind, "code_bits", "Bits of a code per dimension.", kDefaultCodeBits, 1,
                    8, lock);
  add_int_reloption(options_kind, "chunk_size", "Rows a chunk object holds, about.", -1,
                    kMinChunkSize, kMaxChunkSize, lock);
  add_enum_reloption(options_kind, "encrypt_at_rest",
                     "Whether the objects of the index are encrypted.", bool_names,
                     static_cast<int>(BoolOption::kSetting), "Valid values are \"on\" and \"off\".",
                     lock);
  add_enum_reloption(options_kind, "store_vectors",
                     "Whether the objects of the index hold the vectors, too.", bool_names,
                     static_cast<int>(BoolOption::kSetting), "Valid values are \"on\" and \"off\".",
                     lock);
  add_string_reloption(
      options_kind, "store",
      "Server of the store in which the index keeps its objects; \"local\": in the "
      "index itself.",
      nullptr, nullptr, lock);
}

bytea* ParseIndexOptions(Datum reloptions, bool validate) {
  static const relopt_parse_elt table[] = {
      {"index_type", RELOPT_TYPE_ENUM, offsetof(IndexOptions, index_type)},
      {"lists", RELOPT_TYPE_INT, offsetof(IndexOptions, lists)},
      {"code_bits", RELOPT_TYPE_INT, offsetof(IndexOptions, code_bits)},
      {"chunk_size", RELOPT_TYPE_INT, offsetof(IndexOptions, chunk_size)},
      {"encrypt_at_rest", RELOPT_TYPE_ENUM, offsetof(IndexOptions, encrypt_at_rest)},
      {"store_vectors", RELOPT_TYPE_ENUM, offsetof(IndexOptions, store_vectors)},
      {"store", RELOPT_TYPE_STRING, offsetof(IndexOptions, store)},
  };
  auto* parsed = static_cast<bytea*>(build_reloptions(
      reloptions, validate, options_kind, sizeof(IndexOptions), table, lengthof(table)));
  if (validate && parsed != nullptr) {
    const auto& options = *reinterpret_cast<const IndexOptions*>(parsed);
    RequireMayEncryptSo(options);
    RequireStore(options);
  }
  return parsed;
}

IndexOptions OptionsOf(Relation index) {
  if (index->rd_options != nullptr) {
    return *reinterpret_cast<const IndexOptions*>(index->rd_options);
  }
  IndexOptions options = {};
  options.index_type = static_cast<int>(IndexType::kIvf);
  options.code_bits = kDefaultCodeBits;
  options.chunk_size = -1;
  options.encrypt_at_rest = static_cast<int>(BoolOption::kSetting);
  options.store_vectors = static_cast<int>(BoolOption::kSetting);
  return options;
}

const char* StoreOf(Relation index) {
  if (index->rd_options == nullptr) return nullptr;
  return StoreIn(*reinterpret_cast<const IndexOptions*>(index->rd_options));
}

}  // namespace vdb::pg
