// Text of master keys, as a command may print it, and the wrapped key of a metapage. No key in the
// text is repeated in an error.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "crypto/wrapped_key.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireNoKeyIn(const std::string& message, std::string_view text) {
  // A key has at least 43 characters, an id at most 31; nothing longer is taken from the text.
  constexpr size_t kLength = vdb::crypto::kMaxKeyIdBytes + 1;
  for (size_t at = 0; at + kLength <= text.size(); ++at) {
    const std::string_view piece = text.substr(at, kLength);
    // No key has a blank or a quote: a text that repeats the words of a message, or an id with the
    // quotes around it, has not given a key away.
    if (piece.find_first_of(" \n\"") == std::string_view::npos)
      Require(message.find(piece) == std::string::npos);
  }
}

void TryText(std::string_view text) {
  vdb::Result<vdb::crypto::KeyRing> ring = vdb::crypto::ParseKeyRing(text);
  if (!ring.ok()) {
    Require(ring.status().code() == vdb::Code::kInvalidArgument);
    RequireNoKeyIn(ring.status().message() + ring.status().detail(), text.substr(0, 512));
    return;
  }
  Require(!ring->empty());
  const vdb::crypto::Uuid index{};
  const vdb::crypto::SecretKey key;
  vdb::Result<vdb::crypto::WrappedKey> wrapped = vdb::crypto::WrapDataKey(*ring, index, key);
  Require(wrapped.ok() && vdb::crypto::IsUnderCurrentKey(*ring, *wrapped));
  Require(vdb::crypto::UnwrapDataKey(*ring, index, *wrapped).ok());
}

void TryWrapped(const uint8_t* data, size_t size) {
  vdb::crypto::WrappedKey wrapped{};
  std::memcpy(&wrapped, data, std::min(size, sizeof(wrapped)));
  vdb::crypto::KeyRing ring;
  wrapped.key_id[vdb::crypto::kMaxKeyIdBytes] = 0;
  (void)ring.Add(wrapped.key_id, vdb::crypto::SecretKey::Random().value()).ok();
  Require(!vdb::crypto::UnwrapDataKey(ring, {}, wrapped).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  TryText({reinterpret_cast<const char*>(data), size});
  TryWrapped(data, size);
  return 0;
}
