/// OwnerRegistryKeys: the key pairs of this database's owner records in an S5 node's registry,
/// whose entries only the holder of their key can write. They are derived from the seed in
/// vdb.store_owner (store_owner.h), so that a cluster that was restored from a backup finds the
/// same record.
#pragma once

#include "pg/pg.h"
#include "store/registry.h"

namespace vdb::pg {

class OwnerRegistryKeys final : public store::RegistryKeys {
 public:
  explicit OwnerRegistryKeys(Oid server) : server_(server) {}

  // Errors also: kNotFound while the record's prefix has no row. Both may throw ErrorPending.
  Result<store::PublicKey> Public(std::string_view name) override;
  Result<store::Signature> Sign(std::string_view name, std::span<const uint8_t> message) override;
  bool Verifies(const store::PublicKey& key, std::span<const uint8_t> message,
                const store::Signature& signature) override;

 private:
  Oid server_;
};

/// Of that server; lives as long as the process.
OwnerRegistryKeys* RegistryKeysOf(Oid server);

}  // namespace vdb::pg
