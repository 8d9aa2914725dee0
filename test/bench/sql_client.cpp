// The database seen from one session: prepared statements, vectors as binary parameters. The
// connection is what the PG* variables say.
//
//   sql_client load TABLE PREFIX base|queries
//       COPY of (id, bucket, embedding) into TABLE
//   sql_client search TABLE PREFIX [--passes N] [--queries N] [--filter F] [--text] [--set SQL]
//       the ten nearest ids for each query: times, recall, what the backend holds in memory
//   sql_client first TABLE PREFIX
//       a new session: its first answer, and what vdb.last_search() says of it, then the second
//   sql_client cancel TABLE PREFIX search|build [--passes N]
//       N statements that another session cancels: how long they go on
//   sql_client cold TABLE PREFIX
//       for each query number that comes in as a line: a new session opens the index, which brings
//       its centroids, and searches once; times, recall, what it asked of the store. One JSON
//       object a line: whoever asks empties the cache in between
//   sql_client stream TABLE PREFIX [--queries N]
//       N searches with queries of a Zipf popularity; hits and requests of the second half
//   sql_client insert TABLE PREFIX ROWS [--first N]
//       rows of the base by INSERT, one statement a row, in one transaction
//
// Prints one JSON object.
#include <arpa/inet.h>
#include <libpq-fe.h>

#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/dataset.h"

namespace vdb::bench {
namespace {

using Json = nlohmann::json;

void AppendInt(std::string* out, uint32_t value) {
  value = htonl(value);
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}
void AppendShort(std::string* out, uint16_t value) {
  value = htons(value);
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The binary form of type vector: dimensions and a zero as int16, then float4s.
void AppendVector(std::string* out, const float* row, uint32_t dim) {
  AppendShort(out, static_cast<uint16_t>(dim));
  AppendShort(out, 0);
  for (uint32_t j = 0; j < dim; ++j) AppendInt(out, std::bit_cast<uint32_t>(row[j]));
}

std::string TextOf(const float* row, uint32_t dim) {
  std::string text;
  for (uint32_t j = 0; j < dim; ++j) {
    char number[32];
    std::snprintf(number, sizeof number, "%c%.9g", j == 0 ? '[' : ',', static_cast<double>(row[j]));
    text += number;
  }
  return text + ']';
}

class Session {
 public:
  Session() : connection_(PQconnectdb("dbname=postgres")) {
    if (PQstatus(connection_) != CONNECTION_OK) Fail();
  }
  ~Session() { PQfinish(connection_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Run(const std::string& sql) { Check(PQexec(connection_, sql.c_str())); }
  void Prepare(const std::string& sql) {
    Check(PQprepare(connection_, "s", sql.c_str(), 0, nullptr));
  }

  /// Runs the prepared statement; the first column, an int4, goes to ids.
  void Execute(std::initializer_list<const std::string*> values, bool binary,
               std::vector<uint32_t>* ids) {
    const char* pointers[4];
    int lengths[4], formats[4], n = 0;
    for (const std::string* value : values) {
      pointers[n] = value->c_str();
      lengths[n] = static_cast<int>(value->size());
      formats[n++] = binary;
    }
    PGresult* result = PQexecPrepared(connection_, "s", n, pointers, lengths, formats, 1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
      Fail();
    }
    if (ids != nullptr) ids->clear();
    for (int i = 0; ids != nullptr && i < PQntuples(result); ++i) {
      uint32_t id;
      std::memcpy(&id, PQgetvalue(result, i, 0), sizeof id);
      ids->push_back(ntohl(id));
    }
    PQclear(result);
  }

  /// The first row of an answer, as numbers.
  std::vector<double> Row(const std::string& sql) {
    PGresult* result = PQexec(connection_, sql.c_str());
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) == 0) Fail();
    std::vector<double> row;
    for (int i = 0; i < PQnfields(result); ++i) row.push_back(std::atof(PQgetvalue(result, 0, i)));
    PQclear(result);
    return row;
  }

  /// Sends a statement and does not wait for it.
  void Send(const std::string& sql) {
    if (PQsendQuery(connection_, sql.c_str()) != 1) Fail();
  }
  /// Waits for what was sent. False: it came to its end.
  bool WasCancelled() {
    bool cancelled = false;
    while (PGresult* result = PQgetResult(connection_)) {
      const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      if (state != nullptr && std::strcmp(state, "57014") != 0) Fail();
      cancelled = cancelled || state != nullptr;
      PQclear(result);
    }
    return cancelled;
  }
  int BackendPid() const { return PQbackendPID(connection_); }

  void Copy(const std::string& table, const Matrix& rows) {
    Check(PQexec(connection_, ("copy " + table + " from stdin (format binary)").c_str()));
    std::string data("PGCOPY\n\xff\r\n\0", 11);
    data.append(8, '\0');
    for (uint32_t i = 0; i < rows.rows(); ++i) {
      AppendShort(&data, 3);
      AppendInt(&data, 4);
      AppendInt(&data, i);
      AppendInt(&data, 4);
      AppendInt(&data, BucketOf(i));
      AppendInt(&data, 4 + 4 * rows.dim);
      AppendVector(&data, rows.row(i), rows.dim);
      if (data.size() > size_t{1} << 20) Put(&data);
    }
    AppendShort(&data, 0xffff);
    Put(&data);
    if (PQputCopyEnd(connection_, nullptr) != 1) Fail();
    Check(PQgetResult(connection_));
  }

  /// Memory that is the backend's alone, in kB. It runs on this machine.
  long PrivateKb() const {
    std::ifstream status("/proc/" + std::to_string(PQbackendPID(connection_)) + "/status");
    for (std::string line; std::getline(status, line);) {
      long kb;
      if (std::sscanf(line.c_str(), "RssAnon: %ld kB", &kb) == 1) return kb;
    }
    return -1;
  }

 private:
  void Put(std::string* data) {
    if (PQputCopyData(connection_, data->data(), static_cast<int>(data->size())) != 1) Fail();
    data->clear();
  }
  void Check(PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) Fail();
    PQclear(result);
  }
  [[noreturn]] void Fail() {
    std::fprintf(stderr, "%s", PQerrorMessage(connection_));
    std::exit(1);
  }

  PGconn* connection_;
};

struct Config {
  std::vector<std::string> arguments;
  size_t passes = 5, queries = 500, filter = 0, first = 0;
  bool text = false;
  std::vector<std::string> settings;
};

std::string SearchSql(const std::string& table, size_t filter) {
  const std::string where =
      filter == 0 ? "" : " where bucket < " + std::to_string(kFilterBuckets[filter]);
  return "select id from " + table + where + " order by embedding <-> $1 limit 10";
}

Json Search(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2]);
  const size_t n = std::min(config.queries, set.queries.rows());
  Session session;
  for (const std::string& sql : config.settings) session.Run(sql);
  session.Prepare(SearchSql(config.arguments[1], config.filter));

  std::vector<std::string> parameters(n);
  for (size_t q = 0; q < n; ++q) {
    if (config.text) {
      parameters[q] = TextOf(set.queries.row(q), set.base.dim);
    } else {
      AppendVector(&parameters[q], set.queries.row(q), set.base.dim);
    }
  }
  std::vector<double> all, quickest(n, 1e9), recalls;
  std::vector<uint32_t> ids;
  size_t unfilled = 0;
  for (size_t pass = 0; pass < config.passes; ++pass) {
    for (size_t q = 0; q < n; ++q) {
      const double start = Seconds();
      session.Execute({&parameters[q]}, !config.text, &ids);
      const double elapsed = Seconds() - start;
      quickest[q] = std::min(quickest[q], elapsed);
      // The first pass fills the caches.
      if (pass > 0 || config.passes == 1) all.push_back(elapsed);
      if (pass > 0) continue;
      recalls.push_back(set.Recall(q, ids, config.filter));
      unfilled += ids.size() < kRank;
    }
  }
  const Spread spread = SpreadOf(&all);
  const Spread best = SpreadOf(&quickest);
  const Spread recall = SpreadOf(&recalls);
  return {{"queries", n},
          {"mean_us", spread.mean * 1e6},
          {"p50_us", spread.p50 * 1e6},
          {"p99_us", spread.p99 * 1e6},
          {"quickest_us", best.mean * 1e6},
          {"recall", recall.mean},
          {"recall_p5", recalls[n / 20]},
          {"unfilled", unfilled},
          {"private_kb", session.PrivateKb()}};
}

Json First(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2], false);
  Session session;
  // What every session pays: catalog and type look-ups.
  session.Run("set enable_indexscan = off");
  session.Run("select '[1]'::vector <-> '[2]'");
  session.Run("set enable_indexscan = on");
  session.Prepare(SearchSql(config.arguments[1], 0));
  double times[2];
  std::vector<double> parts;
  for (size_t q = 0; q < 2; ++q) {
    std::string parameter;
    AppendVector(&parameter, set.queries.row(q), set.base.dim);
    const double start = Seconds();
    session.Execute({&parameter}, true, nullptr);
    times[q] = (Seconds() - start) * 1e3;
    if (q == 0) {
      parts = session.Row("select ranking_time, fetching_time, total_time from vdb.last_search()");
    }
  }
  return {{"first_ms", times[0]},    {"opening_ms", parts[0]},
          {"fetching_ms", parts[1]}, {"searching_ms", parts[2]},
          {"second_ms", times[1]},   {"private_kb", session.PrivateKb()}};
}

/// Milliseconds that a statement goes on when another session has cancelled it so long after it
/// began. Negative: it was over by then.
double CancelMs(Session* victim, Session* other, const std::string& sql, double after_ms) {
  victim->Send(sql);
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(after_ms));
  const double start = Seconds();
  other->Row("select pg_cancel_backend(" + std::to_string(victim->BackendPid()) + ")::int");
  return victim->WasCancelled() ? (Seconds() - start) * 1e3 : -1;
}

/// Cancels come at times that are spread over the statement. What was over before does not count.
Json Cancel(const Config& config) {
  const std::string& table = config.arguments[1];
  const bool build = config.arguments[3] == "build";
  const Dataset set = LoadDataset(config.arguments[2], false);
  Session victim, other;
  for (const char* off : {"enable_seqscan", "enable_sort", "jit"}) {
    victim.Run(std::string("set ") + off + " = off");
  }
  std::string sql = "create index " + table + "_doomed on " + table + " using vdb (embedding)";
  const std::string drop = "drop index if exists " + table + "_doomed";
  std::vector<double> times;
  // Two kinds of search: all rows in order, and a filter that no row passes.
  for (size_t kind = 0; kind < (build ? 1 : 2); ++kind) {
    if (!build) {
      sql = "select id from " + table + (kind == 0 ? "" : " where bucket < 0") +
            " order by embedding <-> '" + TextOf(set.queries.row(kind), set.base.dim) +
            (kind == 0 ? "' offset 1000000000" : "' limit 10");
    }
    victim.Run(drop);
    const double start = Seconds();
    victim.Run(sql);
    const double whole_ms = (Seconds() - start) * 1e3;
    victim.Run(drop);
    for (size_t i = 0; i < config.passes; ++i) {
      const double share = (static_cast<double>(i) + 0.5) / static_cast<double>(config.passes);
      const double ms = CancelMs(&victim, &other, sql, share * whole_ms);
      if (ms >= 0) times.push_back(ms);
      victim.Run(drop);
    }
  }
  if (times.empty()) {
    std::fprintf(stderr, "nothing could be cancelled\n");
    std::exit(1);
  }
  const Spread spread = SpreadOf(&times);  // sorts
  return {{"cancelled", times.size()}, {"p50_ms", spread.p50}, {"largest_ms", times.back()}};
}

const char* const kLastReads =
    "select store_rounds, store_requests, store_bytes from vdb.last_search()";

Json ColdSearch(const std::string& table, const Dataset& set, size_t query) {
  Session session;
  session.Row("select objects from vdb.prewarm('" + table + "_vdb', 'routing')");
  session.Run("set enable_seqscan = off");
  session.Prepare(SearchSql(table, 0));
  // The plan, and what a session looks up in the catalogs for it.
  session.Run("explain execute s('" + TextOf(set.queries.row(query), set.base.dim) + "')");
  std::string parameter;
  AppendVector(&parameter, set.queries.row(query), set.base.dim);
  std::vector<uint32_t> ids;
  const double start = Seconds();
  session.Execute({&parameter}, true, &ids);
  const double elapsed = Seconds() - start;
  const std::vector<double> reads = session.Row(kLastReads);
  return {{"ms", elapsed * 1e3},
          {"recall", set.Recall(query, ids)},
          {"rounds", reads[0]},
          {"requests", reads[1]},
          {"bytes", reads[2]}};
}

int Cold(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2]);
  for (size_t query; std::scanf("%zu", &query) == 1;) {
    const Json found = ColdSearch(config.arguments[1], set, query % set.queries.rows());
    std::printf("%s\n", found.dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

Json Stream(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2], false);
  Session session;
  session.Prepare(SearchSql(config.arguments[1], 0));
  std::vector<double> times;
  double requests = 0, bytes = 0;
  size_t done = 0, without_requests = 0;
  for (const uint32_t query : ZipfStream(set.queries.rows(), config.queries)) {
    if (done++ == config.queries / 2) {
      session.Row("select vdb.reset_stat_cache()");
      times.clear();
      requests = bytes = 0;
      without_requests = 0;
    }
    std::string parameter;
    AppendVector(&parameter, set.queries.row(query), set.base.dim);
    const double start = Seconds();
    session.Execute({&parameter}, true, nullptr);
    times.push_back(Seconds() - start);
    const std::vector<double> reads = session.Row(kLastReads);
    without_requests += reads[1] == 0;
    requests += reads[1];
    bytes += reads[2];
  }
  const std::vector<double> cache = session.Row("select hits, misses from vdb.stat_cache");
  const auto n = static_cast<double>(times.size());
  const Spread spread = SpreadOf(&times);
  return {{"searches", n},
          {"p50_ms", spread.p50 * 1e3},
          {"p99_ms", spread.p99 * 1e3},
          {"hits", cache[0]},
          {"misses", cache[1]},
          {"without_requests", static_cast<double>(without_requests) / n},
          {"requests", requests / n},
          {"bytes", bytes / n}};
}

Json Insert(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2], false);
  const size_t rows = std::stoul(config.arguments[3]);
  Session session;
  session.Prepare("insert into " + config.arguments[1] + " values ($1, $2, $3)");
  const double start = Seconds();
  session.Run("begin");
  for (size_t i = 0; i < rows; ++i) {
    const auto row = static_cast<uint32_t>((config.first + i) % set.base.rows());
    std::string id, bucket, vector;
    AppendInt(&id, static_cast<uint32_t>(set.base.rows() + i));
    AppendInt(&bucket, BucketOf(row));
    AppendVector(&vector, set.base.row(row), set.base.dim);
    session.Execute({&id, &bucket, &vector}, true, nullptr);
  }
  session.Run("commit");
  const double elapsed = Seconds() - start;
  return {
      {"rows", rows}, {"seconds", elapsed}, {"rows_per_s", static_cast<double>(rows) / elapsed}};
}

Json Load(const Config& config) {
  const Dataset set = LoadDataset(config.arguments[2], false);
  const Matrix& rows = config.arguments[3] == "queries" ? set.queries : set.base;
  Session session;
  const double start = Seconds();
  session.Copy(config.arguments[1], rows);
  return {{"rows", rows.rows()}, {"seconds", Seconds() - start}};
}

bool Parse(int argc, char** argv, Config* config) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.rfind("--", 0) != 0) {
      config->arguments.push_back(flag);
    } else if (flag == "--text") {
      config->text = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (flag == "--set") {
      config->settings.emplace_back(argv[++i]);
    } else {
      const size_t value = std::stoul(argv[++i]);
      (flag == "--passes"    ? config->passes
       : flag == "--queries" ? config->queries
       : flag == "--filter"  ? config->filter
                             : config->first) = value;
    }
  }
  return config->arguments.size() >= 3 && config->filter < kFilterBuckets.size();
}

int Main(int argc, char** argv) {
  Config config;
  if (Parse(argc, argv, &config)) {
    const std::string& what = config.arguments[0];
    const size_t n = config.arguments.size();
    Json result;
    if (what == "cold") return Cold(config);
    if (what == "search") result = Search(config);
    if (what == "stream") result = Stream(config);
    if (what == "first") result = First(config);
    if (what == "cancel" && n == 4) result = Cancel(config);
    if (what == "insert" && n == 4) result = Insert(config);
    if (what == "load" && n == 4) result = Load(config);
    if (!result.is_null()) {
      std::printf("%s\n", result.dump().c_str());
      return 0;
    }
  }
  std::fprintf(stderr, "usage: see the head of sql_client.cpp\n");
  return 2;
}

}  // namespace
}  // namespace vdb::bench

int main(int argc, char** argv) { return vdb::bench::Main(argc, argv); }
