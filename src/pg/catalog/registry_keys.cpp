#include "pg/pg.h"

#include "pg/catalog/registry_keys.h"

#include <map>
#include <memory>
#include <string>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "pg/catalog/store_owner.h"
#include "pg/guard.h"
#include "pg/store/object_name.h"

namespace vdb::pg {
namespace {

constexpr char kContext[] = "vdb_ext 2026 S5 registry key of an owner record";

/// The seed of the key pair of a record.
Result<crypto::SecretKey> SeedOf(Oid server, std::string_view name) {
  const std::string prefix(PrefixOfName(name));
  OwnerRow row;
  const bool found = Call([&] { return ReadOwner(server, prefix.c_str(), &row); });
  if (!found) return Status(Code::kNotFound, StrCat("no key for record \"", name, "\""));
  crypto::SecretKey seed = crypto::DeriveKey(
      kContext, row.seed, {reinterpret_cast<const uint8_t*>(name.data()), name.size()});
  crypto::Wipe(row.seed);
  return seed;
}

}  // namespace

Result<store::PublicKey> OwnerRegistryKeys::Public(std::string_view name) {
  VDB_ASSIGN_OR_RETURN(const crypto::SecretKey seed, SeedOf(server_, name));
  return crypto::PublicKeyOf(seed);
}

Result<store::Signature> OwnerRegistryKeys::Sign(std::string_view name,
                                                 std::span<const uint8_t> message) {
  VDB_ASSIGN_OR_RETURN(const crypto::SecretKey seed, SeedOf(server_, name));
  return crypto::Sign(seed, message);
}

bool OwnerRegistryKeys::Verifies(const store::PublicKey& key, std::span<const uint8_t> message,
                                 const store::Signature& signature) {
  return crypto::Verifies(key, message, signature);
}

OwnerRegistryKeys* RegistryKeysOf(Oid server) {
  static auto& keys = *new std::map<Oid, std::unique_ptr<OwnerRegistryKeys>>;
  std::unique_ptr<OwnerRegistryKeys>& found = keys[server];
  if (found == nullptr) found = std::make_unique<OwnerRegistryKeys>(server);
  return found.get();
}

}  // namespace vdb::pg
