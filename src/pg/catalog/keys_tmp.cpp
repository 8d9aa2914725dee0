#include "pg/catalog/keys.h"
#include "pg/guard.h"
namespace vdb::pg {
const crypto::KeyRing& MasterKeys(bool) {
  static crypto::KeyRing& r = *new crypto::KeyRing;
  if (r.empty()) {
    uint8_t k[32] = {1, 2, 3};
    (void)r.Add("tmp", crypto::SecretKey(std::span<const uint8_t, 32>(k, 32))).ok();
  }
  return r;
}
void DefineKeySettings() {}
}  // namespace vdb::pg
