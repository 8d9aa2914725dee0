/// Master keys: where they come from (command, file, or a table), and how long they stay.
#pragma once

#include "crypto/key_ring.h"
#include "crypto/wrapped_key.h"

namespace vdb::pg {

/// The server's master keys: those of vdb.master_key_command, then those of vdb.master_key_file,
/// then the generated ones of vdb.master_key, newest first. The first of all is the current one.
/// What the settings gave is kept until the configuration is reloaded or the backend ends. May be
/// empty. create: when it would be empty, generate a key into vdb.master_key (a NOTICE says so).
/// Valid until the next call. Throws: a source that fails is an ERROR with a HINT.
const crypto::KeyRing& MasterKeys(bool create);

/// Opens an index's data key. When the keys kept from the settings do not have its master key they
/// are fetched once more: another backend may have rewrapped it since.
/// Errors: as crypto::UnwrapDataKey. Throws as MasterKeys.
Result<crypto::SecretKey> OpenDataKey(const crypto::Uuid& index, const crypto::WrappedKey& wrapped);

/// Drops what is kept from the settings, so that the next MasterKeys asks again.
void ForgetMasterKeys() noexcept;

/// Whether either setting names a source.
bool HaveKeySettings();

/// Defines vdb.master_key_command and vdb.master_key_file; called once by _PG_init.
void DefineKeySettings();

}  // namespace vdb::pg
