#include "pg/pg.h"

#include "pg/catalog/store_server.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "pg/compat.h"
#include "pg/catalog/registry_keys.h"
#include "pg/guard.h"
#include "pg/store/latch_waiter.h"
#include "pg/store/store_states.h"
#include "store/config.h"
#include "store/file_store.h"
#include "store/s3.h"
#include "store/s5.h"
#include "store/s5_bridge.h"

extern "C" {
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace vdb::pg {
namespace {

constexpr char kWrapperName[] = "vdb_store";

int request_timeout_ms = 30000;
bool allow_http = false;

/// Views DefElems, which PostgreSQL owns. Throws bad_alloc.
std::vector<store::Option> ViewOptions(List* list) {
  std::vector<store::Option> options;
  const int n = list_length(list);
  options.reserve(static_cast<size_t>(n));
  for (int i = 0; i < n; i++) {
    auto* const element = static_cast<DefElem*>(list_nth(list, i));
    const char* const value = Call([&] { return defGetString(element); });
    options.push_back({element->defname, value});
  }
  return options;
}

/// ereports 42501.
void RequireRole(Oid role, Oid wanted, const char* what) {
  if (has_privs_of_role(role, wanted)) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to %s", what),
                  errdetail("Role \"%s\" needs the privileges of role \"%s\".",
                            GetUserNameFromId(role, false), GetUserNameFromId(wanted, false))));
}

void RequireFiles(Oid role) {
  RequireRole(role, ROLE_PG_READ_SERVER_FILES, "use a directory as a store");
  RequireRole(role, ROLE_PG_WRITE_SERVER_FILES, "use a directory as a store");
}

void Validate(Datum array, Oid catalog) {
  List* const list = Call([&] { return untransformRelOptions(array); });
  const std::vector<store::Option> options = ViewOptions(list);
  if (catalog == ForeignServerRelationId) {
    // Who may set vdb.allow_http, where the server is used, may also restore a dump of one that was
    // made under it.
    const bool http = allow_http || IsBinaryUpgrade || Call([] { return superuser(); });
    Result<store::StoreConfig> config = store::ParseStoreConfig(options, http);
    ThrowIfError(config.status());
    if (config->type == store::StoreType::kFile) Call([] { RequireFiles(GetUserId()); });
  } else if (catalog == UserMappingRelationId) {
    ThrowIfError(store::CheckSecretOptions(options));
  } else if (!options.empty()) {
    ThrowIfError(InvalidArgument("foreign-data wrapper \"vdb_store\" has no options"));
  }
  for (const store::Option& option : options) {
    if (!store::NamesFile(option.name)) continue;
    Call(
        [] { RequireRole(GetUserId(), ROLE_PG_READ_SERVER_FILES, "name a file of the server's"); });
  }
}

/// The role's mapping, or PUBLIC's, or none.
HeapTuple FindMapping(Oid server, Oid role) {
  HeapTuple tuple =
      SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server));
  if (HeapTupleIsValid(tuple)) return tuple;
  return SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
                         ObjectIdGetDatum(server));
}

List* MappingOptions(Oid server, Oid role) {
  HeapTuple tuple = FindMapping(server, role);
  if (!HeapTupleIsValid(tuple)) return NIL;
  bool isnull;
  const Datum options =
      SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
  List* const list = isnull ? NIL : untransformRelOptions(options);
  ReleaseSysCache(tuple);
  return list;
}

bool HasOurWrapper(const ForeignServer& server) {
  const ForeignDataWrapper* const wrapper =
      GetForeignDataWrapperExtended(server.fdwid, FDW_MISSING_OK);
  return wrapper != nullptr && std::strcmp(wrapper->fdwname, kWrapperName) == 0;
}

/// The server, if `role` may use it. ereports.
ForeignServer* UsableServer(Oid server_oid, Oid role, Usage usage) {
  ForeignServer* const server = GetForeignServer(server_oid);
  if (!HasOurWrapper(*server)) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("server \"%s\" is not a store", server->servername),
                    errhint("CREATE SERVER ... FOREIGN DATA WRAPPER vdb_store makes one.")));
  }
  if (usage == Usage::kRequired) {
    compat::RequireServerUsage(server_oid, server->servername, role);
  }
  return server;
}

/// A file that holds a secret, as it was when the secret was read: it may be replaced at any time.
struct SecretFile {
  std::string path;
  struct stat found;

  bool IsSame() const {
    struct stat now;
    return stat(path.c_str(), &now) == 0 && now.st_ino == found.st_ino &&
           now.st_size == found.st_size && now.st_mtim.tv_sec == found.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == found.st_mtim.tv_nsec;
  }
};

/// Of a mapping. Throws.
std::vector<SecretFile> SecretFilesOf(Oid server, Oid role) {
  std::vector<SecretFile> files;
  const std::vector<store::Option> options =
      ViewOptions(Call([&] { return MappingOptions(server, role); }));
  for (const store::Option& option : options) {
    if (!store::NamesFile(option.name)) continue;
    SecretFile file{std::string(option.value), {}};
    // One that is missing is for ReadSecrets to tell.
    if (stat(file.path.c_str(), &file.found) == 0) files.push_back(std::move(file));
  }
  return files;
}

struct OpenedStore {
  StoreHandle handle;
  bool file = false;
  std::vector<SecretFile> secrets;
};
/// By server, role, and vdb.allow_http: a session that resets it is refused again.
using Registry = std::map<std::tuple<Oid, Oid, bool>, OpenedStore>;

Registry& OpenedStores() {
  static Registry& registry = *new Registry;
  return registry;
}

uint64_t times_forgotten = 0;

/// Servers and mappings change seldom: all stores are forgotten. A search that is using one keeps
/// it to its end.
void ForgetStores(Datum, int, uint32) {
  times_forgotten++;
  OpenedStores().clear();
}

LatchWaiter& TheWaiter() {
  static LatchWaiter& waiter = *new LatchWaiter;
  return waiter;
}

/// PostgreSQL keeps account of descriptors that it did not open itself.
class ReservedDescriptors final : public store::DescriptorBudget {
 public:
  bool Take() override {
    return Call([] { return AcquireExternalFD(); });
  }
  void Give() override { ReleaseExternalFD(); }
};

store::HttpStoreOptions HttpOptionsOf(const char* name, const store::StoreConfig& config,
                                      Oid server) {
  static ReservedDescriptors& descriptors = *new ReservedDescriptors;
  store::HttpStoreOptions options;
  options.name = name;
  options.http.connect_timeout_ms = config.connect_timeout_ms;
  options.http.stall_timeout_ms = config.stall_timeout_ms;
  options.http.max_connections = config.max_connections;
  options.http.verify_tls = config.tls_verify;
  options.http.ca_file = config.ca_file;
  options.http.allow_http = allow_http;
  options.http.descriptors = &descriptors;
  options.waiter = &TheWaiter();
  options.state = StateOfStore(server);
  if (!pg_strong_random(&options.seed, sizeof(options.seed))) {
    ThrowIfError(Internal("could not get random bytes"));
  }
  return options;
}

/// The store of a server for a role: its mapping has the secrets. Throws.
std::shared_ptr<store::ObjectStore> MakeStore(const char* name, const store::StoreConfig& config,
                                              Oid server, Oid role) {
  if (config.type == store::StoreType::kFile) {
    return std::make_shared<store::FileStore>(name, config.path, &TheWaiter());
  }
  Result<store::StoreSecrets> secrets =
      store::ReadSecrets(ViewOptions(Call([&] { return MappingOptions(server, role); })));
  ThrowIfError(secrets.status());
  if (config.type == store::StoreType::kS5 && config.dialect == store::S5Dialect::kBridge) {
    store::S5BridgeOptions options;
    options.store = HttpOptionsOf(name, config, server);
    options.url = config.url;
    options.auth_token = secrets->auth_token;
    Result<std::unique_ptr<store::S5BridgeStore>> made =
        store::S5BridgeStore::Make(std::move(options));
    ThrowIfError(made.status());
    return std::move(made).value();
  }
  if (config.type == store::StoreType::kS5) {
    store::S5Options options;
    options.store = HttpOptionsOf(name, config, server);
    options.url = config.url;
    options.auth_token = secrets->auth_token;
    options.keys = RegistryKeysOf(server);
    options.redirect = config.redirect;
    options.pin = config.pin;
    options.max_upload_bytes = uint64_t{1024} * static_cast<uint64_t>(config.max_upload_kb);
    Result<std::unique_ptr<store::S5Store>> made = store::S5Store::Make(std::move(options));
    ThrowIfError(made.status());
    return std::move(made).value();
  }
  store::S3Options options;
  options.store = HttpOptionsOf(name, config, server);
  options.endpoint = config.url;
  options.bucket = config.bucket;
  options.prefix = config.prefix;
  options.region = config.region;
  options.path_style = config.path_style;
  options.access_key_id = secrets->access_key_id;
  options.secret_access_key = secrets->secret_access_key;
  options.session_token = secrets->session_token;
  options.sha256 = [](std::span<const uint8_t> bytes) { return crypto::Sha256(bytes); };
  Result<std::unique_ptr<store::S3Store>> made = store::S3Store::Make(std::move(options));
  ThrowIfError(made.status());
  return std::move(made).value();
}

}  // namespace

int RequestTimeoutMs() { return request_timeout_ms; }

void DefineStoreSettings() {
  DefineCustomIntVariable(
      "vdb.request_timeout", "How long one operation on a remote store may take.", nullptr,
      &request_timeout_ms, 30000, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("vdb.allow_http", "Whether stores may be reached without TLS.",
                           "Objects are encrypted, but tokens and names of objects would not be.",
                           &allow_http, false, PGC_SUSET, GUC_SUPERUSER_ONLY, nullptr, nullptr,
                           nullptr);
}

bool IsStoreServer(Oid server) {
  const ForeignServer* const found = GetForeignServerExtended(server, FSV_MISSING_OK);
  return found != nullptr && HasOurWrapper(*found);
}

void RequireUsableStore(Oid server, Oid role, Usage usage) { UsableServer(server, role, usage); }

StoreHandle OpenStore(Oid server_oid, Oid role, Usage usage) {
  static const bool registered = [] {
    Call([] {
      CacheRegisterSyscacheCallback(FOREIGNSERVEROID, ForgetStores, 0);
      CacheRegisterSyscacheCallback(USERMAPPINGOID, ForgetStores, 0);
    });
    return true;
  }();
  (void)registered;
  // Also serves invalidations that have come in.
  ForeignServer* const server = Call([&] { return UsableServer(server_oid, role, usage); });
  Registry& registry = OpenedStores();
  const std::tuple<Oid, Oid, bool> key(server_oid, role, allow_http);
  const uint64_t seen = times_forgotten;
  auto found = registry.find(key);
  if (found != registry.end() &&
      std::all_of(found->second.secrets.begin(), found->second.secrets.end(),
                  [](const SecretFile& f) { return f.IsSame(); })) {
    // Looking at rights may bring an invalidation, which empties the registry.
    StoreHandle handle = found->second.handle;
    if (found->second.file) Call([&] { RequireFiles(server->owner); });
    return handle;
  }
  Result<store::StoreConfig> config = store::ParseStoreConfig(ViewOptions(server->options), true);
  ThrowIfError(config.status());
  if (!allow_http && config->url.starts_with("http://")) {
    ThrowIfError(Status(Code::kPermission,
                        StrCat("store \"", server->servername, "\" has a URL without TLS"))
                     .WithHint("Superusers can set vdb.allow_http, where the network is trusted."));
  }
  const bool file = config->type == store::StoreType::kFile;
  if (file) Call([&] { RequireFiles(server->owner); });
  std::vector<SecretFile> secrets = SecretFilesOf(server_oid, role);
  StoreHandle handle{MakeStore(server->servername, *config, server_oid, role),
                     uint64_t{1024} * static_cast<uint64_t>(config->max_range_kb),
                     static_cast<size_t>(config->max_connections)};
  // A change that came in while the store was made may be in it by half: it is not kept.
  if (seen == times_forgotten) registry[key] = {handle, file, std::move(secrets)};
  return handle;
}

}  // namespace vdb::pg

VDB_FUNCTION(vdb_store_validator) {
  vdb::pg::Entry(__func__, [&] { vdb::pg::Validate(PG_GETARG_DATUM(0), PG_GETARG_OID(1)); });
  PG_RETURN_VOID();
}
