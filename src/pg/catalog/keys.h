/// Master keys: where they come from (command, file, or a table), and how long they stay.
#pragma once

#include <optional>
#include <string_view>

#include "crypto/key_ring.h"
#include "crypto/wrapped_key.h"

namespace vdb::pg {

/// The server's master keys: those of vdb.master_key_command, then those of vdb.master_key_file,
/// then the generated ones of vdb.master_key, newest first. The first of all is the current one.
/// What the settings gave is kept until the configuration is reloaded or the backend ends. May be
/// empty. create: when it would be empty, generate a key into vdb.master_key (a NOTICE says so).
/// Valid until the next call. Throws: a source that fails is an ERROR with a HINT.
const crypto::KeyRing& MasterKeys(bool create);

/// A data key that is kept while PostgreSQL is called: wiped by the destructor, and at the latest
/// when the backend exits, since a FATAL runs no destructors.
class HeldKey {
 public:
  HeldKey() noexcept;
  HeldKey(const HeldKey&) = delete;
  HeldKey& operator=(const HeldKey&) = delete;
  ~HeldKey();

  void Hold(crypto::SecretKey&& key) { key_.emplace(std::move(key)); }
  bool held() const { return key_.has_value(); }
  const crypto::SecretKey& key() const { return *key_; }

  /// Wipes those of all HeldKeys; returns how many there were.
  static int WipeAll() noexcept;

 private:
  std::optional<crypto::SecretKey> key_;
  HeldKey *previous_, *next_;  // of all that exist
};

/// Opens the data key of the index of that name and uuid. When the keys kept from the settings do
/// not have its master key they are fetched once more: another backend may have rewrapped it since.
/// Errors: as crypto::UnwrapDataKey and those of the sources, all naming the index.
Status OpenDataKey(std::string_view name, const crypto::Uuid& index,
                   const crypto::WrappedKey& wrapped, HeldKey* key);

/// Makes the data key of a new index, wrapped under the current master key, which is generated when
/// there is none. Errors: those of the sources, naming the index.
Status MakeDataKey(std::string_view name, const crypto::Uuid& index, HeldKey* key,
                   crypto::WrappedKey* wrapped);

/// Drops what is kept from the settings, so that the next MasterKeys asks again.
void ForgetMasterKeys() noexcept;

/// Whether either setting names a source.
bool HaveKeySettings();

/// Defines vdb.master_key_command and vdb.master_key_file; called once by _PG_init.
void DefineKeySettings();

}  // namespace vdb::pg
