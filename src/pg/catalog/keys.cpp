#include "pg/pg.h"

#include "pg/catalog/keys.h"

#include <cstring>
#include <string>

#include "base/strcat.h"
#include "crypto/secret.h"
#include "pg/catalog/key_source.h"
#include "pg/catalog/key_table.h"
#include "pg/guard.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace vdb::pg {
namespace {

char* master_key_command = nullptr;
char* master_key_file = nullptr;

struct Cache {
  bool loaded = false;
  TimestampTz config = 0;         // PgReloadTime when it was loaded
  crypto::KeyRing from_settings;  // command's, then file's
  crypto::KeyRing ring;           // what MasterKeys returned last
};

Cache& TheCache() {
  static Cache& cache = *new Cache;
  return cache;
}

bool IsSet(const char* setting) { return setting != nullptr && setting[0] != '\0'; }

void Append(const crypto::KeyRing& from, crypto::KeyRing* to) {
  for (const crypto::MasterKey& key : from.keys()) {
    const crypto::MasterKey* const same = to->Find(key.id);
    if (same != nullptr && crypto::EqualSecrets(same->key.bytes(), key.key.bytes())) continue;
    ThrowIfError(to->Add(key.id, crypto::SecretKey(key.key.bytes())));
  }
}

void AppendParsed(const char* setting, Result<std::string> text, crypto::KeyRing* ring) {
  ThrowIfError(text.status());
  Result<crypto::KeyRing> parsed = crypto::ParseKeyRing(*text);
  crypto::Wipe(&*text);
  if (!parsed.ok()) {
    const Status& status = parsed.status();
    throw StatusError{
        InvalidArgument("\"" + std::string(setting) + "\" gave no usable keys: " + status.message())
            .WithDetail(status.detail())
            .WithHint(status.hint())};
  }
  Append(*parsed, ring);
}

void LoadFromSettings(Cache* cache) {
  crypto::KeyRing ring;
  // Taken before: a reload that the wait below serves makes this load stale, not current.
  const TimestampTz config = PgReloadTime;
  if (IsSet(master_key_command)) {
    const std::string command = master_key_command;
    AppendParsed("vdb.master_key_command", RunKeyCommand(command.c_str()), &ring);
  }
  if (IsSet(master_key_file))
    AppendParsed("vdb.master_key_file", ReadKeyFile(master_key_file), &ring);
  cache->from_settings = std::move(ring);
  cache->config = config;
  cache->loaded = true;
}

// The first of all HeldKeys.
HeldKey* held_keys = nullptr;

void WipeAtExit(int, Datum) {
  Cache& cache = TheCache();
  cache.from_settings = {};
  cache.ring = {};
  const int keys = HeldKey::WipeAll();
  ereport(DEBUG1, (errmsg_internal("wiped %d data keys", keys)));
}

void WipeKeysAtExit() {
  static const bool registered = [] {
    Call([] { on_proc_exit(WipeAtExit, 0); });
    return true;
  }();
  (void)registered;
}

/// Runs body; what fails names the index.
template <class Body>
Status ForIndex(const char* what, std::string_view name, Body&& body) {
  Status status;
  try {
    status = body();
  } catch (StatusError& error) {
    status = std::move(error.status);
  }
  if (status.ok()) return status;
  return Status(status.code(), StrCat(what, " \"", name, "\": ", status.message()))
      .WithDetail(status.detail())
      .WithHint(status.hint());
}

}  // namespace

HeldKey::HeldKey() noexcept : previous_(nullptr), next_(held_keys) {
  if (next_ != nullptr) next_->previous_ = this;
  held_keys = this;
}

HeldKey::~HeldKey() {
  (previous_ != nullptr ? previous_->next_ : held_keys) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

int HeldKey::WipeAll() noexcept {
  int n = 0;
  for (HeldKey* held = held_keys; held != nullptr; held = held->next_) {
    n += held->held();
    held->key_.reset();
  }
  return n;
}

const crypto::KeyRing& MasterKeys(bool create) {
  WipeKeysAtExit();
  Cache& cache = TheCache();
  cache.ring = {};
  if (!cache.loaded || cache.config != PgReloadTime) {
    ForgetMasterKeys();
    LoadFromSettings(&cache);
  }
  crypto::KeyRing ring;
  Append(cache.from_settings, &ring);
  AddGeneratedKeys(&ring);
  if (ring.empty() && create) {
    GenerateMasterKey();
    AddGeneratedKeys(&ring);
    if (ring.empty()) throw StatusError{Internal("the generated master key is not visible")};
  }
  cache.ring = std::move(ring);
  return cache.ring;
}

Status OpenDataKey(std::string_view name, const crypto::Uuid& index,
                   const crypto::WrappedKey& wrapped, HeldKey* key) {
  return ForIndex("could not open the data key of index", name, [&]() -> Status {
    const bool kept = TheCache().loaded;
    Result<crypto::SecretKey> opened = crypto::UnwrapDataKey(MasterKeys(false), index, wrapped);
    if (!opened.ok() && kept && HaveKeySettings() &&
        opened.status().code() == Code::kInvalidArgument) {
      ForgetMasterKeys();
      opened = crypto::UnwrapDataKey(MasterKeys(false), index, wrapped);
    }
    if (!opened.ok()) return opened.TakeStatus();
    key->Hold(std::move(opened).value());
    return {};
  });
}

Status MakeDataKey(std::string_view name, const crypto::Uuid& index, HeldKey* key,
                   crypto::WrappedKey* wrapped) {
  return ForIndex("could not make a data key for index", name, [&]() -> Status {
    VDB_ASSIGN_OR_RETURN(crypto::SecretKey made, crypto::SecretKey::Random());
    key->Hold(std::move(made));
    VDB_ASSIGN_OR_RETURN(*wrapped, crypto::WrapDataKey(MasterKeys(true), index, key->key()));
    return {};
  });
}

void ForgetMasterKeys() noexcept {
  Cache& cache = TheCache();
  cache.loaded = false;
  cache.from_settings = {};
}

bool HaveKeySettings() { return IsSet(master_key_command) || IsSet(master_key_file); }

void DefineKeySettings() {
  DefineCustomStringVariable(
      "vdb.master_key_command", "Shell command that prints the master keys of vdb indexes.",
      "One key a line, the current one first: KEY or id:KEY, in hexadecimal or base64.",
      &master_key_command, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "vdb.master_key_file", "File that holds the master keys of vdb indexes.",
      "One key a line, the current one first: KEY or id:KEY, in hexadecimal or base64.",
      &master_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
}

}  // namespace vdb::pg
