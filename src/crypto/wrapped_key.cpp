#include "crypto/wrapped_key.h"

#include <sodium.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "base/strcat.h"

namespace vdb::crypto {
namespace {

static_assert(std::endian::native == std::endian::little, "WrappedKey is stored as it is");
static_assert(sizeof(WrappedKey::nonce) == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(sizeof(WrappedKey::ciphertext) ==
              kKeyBytes + crypto_aead_xchacha20poly1305_ietf_ABYTES);

// What a wrapped key is bound to, as associated data.
struct Binding {
  char purpose[16] = {'v', 'd', 'b', '_', 'e', 'x', 't', ' ',
                      'd', 'a', 't', 'a', ' ', 'k', 'e', 'y'};
  uint32_t version = kWrapVersion;
  uint8_t index[kUuidBytes];
  char key_id[kMaxKeyIdBytes + 1];

  Binding(const Uuid& uuid, const WrappedKey& wrapped) {
    std::memcpy(index, uuid.data(), kUuidBytes);
    std::memcpy(key_id, wrapped.key_id, sizeof(key_id));
  }
  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(this); }
};
static_assert(sizeof(Binding) == 16 + 4 + 16 + 32);

// Empty when the field is not a zero-filled id.
std::string_view KeyIdOf(const WrappedKey& wrapped) {
  const size_t length = strnlen(wrapped.key_id, sizeof(wrapped.key_id));
  for (size_t i = length; i < sizeof(wrapped.key_id); ++i) {
    if (wrapped.key_id[i] != 0) return {};
  }
  if (length > kMaxKeyIdBytes) return {};
  for (size_t i = 0; i < length; ++i) {
    if (wrapped.key_id[i] <= ' ' || wrapped.key_id[i] > '~') return {};
  }
  return {wrapped.key_id, length};
}

}  // namespace

Result<Uuid> RandomUuid() {
  Uuid uuid;
  VDB_RETURN_IF_ERROR(RandomBytes(uuid));
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);  // version 4, RFC 4122
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

Result<WrappedKey> WrapDataKey(const KeyRing& ring, const Uuid& index, const SecretKey& data_key) {
  if (ring.empty()) return InvalidArgument("there is no master key");
  const MasterKey& master = ring.current();
  WrappedKey wrapped{};
  wrapped.version = kWrapVersion;
  std::memcpy(wrapped.key_id, master.id.data(), master.id.size());
  VDB_RETURN_IF_ERROR(RandomBytes(wrapped.nonce));
  const Binding binding(index, wrapped);
  crypto_aead_xchacha20poly1305_ietf_encrypt(wrapped.ciphertext, nullptr, data_key.data(),
                                             kKeyBytes, binding.data(), sizeof(binding), nullptr,
                                             wrapped.nonce, master.key.data());
  return wrapped;
}

Result<SecretKey> UnwrapDataKey(const KeyRing& ring, const Uuid& index, const WrappedKey& wrapped) {
  VDB_RETURN_IF_ERROR(InitCrypto());
  const std::string_view id = KeyIdOf(wrapped);
  if (wrapped.version != kWrapVersion || wrapped.reserved != 0 || id.empty())
    return Corruption("the wrapped data key is malformed");
  const MasterKey* const master = ring.Find(id);
  if (master == nullptr)
    return InvalidArgument(StrCat("master key \"", id, "\" is not available"))
        .WithHint(
            "Have vdb.master_key_command or vdb.master_key_file give the key with this id, "
            "behind the current one.");
  SecretKey data_key;
  const Binding binding(index, wrapped);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(data_key.mutable_bytes().data(), nullptr, nullptr,
                                                 wrapped.ciphertext, sizeof(wrapped.ciphertext),
                                                 binding.data(), sizeof(binding), wrapped.nonce,
                                                 master->key.data()) != 0)
    return InvalidArgument(StrCat("wrong master key \"", id, "\""))
        .WithDetail("The index's data key does not open under the master key with this id.")
        .WithHint("Check that the id stands before the key that it was given to first.");
  return data_key;
}

bool IsUnderCurrentKey(const KeyRing& ring, const WrappedKey& wrapped) {
  return KeyIdOf(wrapped) == ring.current().id;
}

}  // namespace vdb::crypto
