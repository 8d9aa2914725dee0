// Stored frames. No bytes open that were not sealed here; what is sealed here opens, unchanged.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "crypto/object_cipher.h"
#include "format/geometry.h"

namespace {

using vdb::crypto::ObjectCipher;

void Require(bool condition) {
  if (!condition) std::abort();
}

void Try(const ObjectCipher& cipher, uint64_t frame, std::span<const uint8_t> bytes) {
  std::vector<uint8_t> out(bytes.size() + vdb::crypto::kTagBytes);
  Require(cipher.OpenFrame(frame, bytes, out.data()).code() == vdb::Code::kCorruption);

  cipher.SealFrame(frame, bytes, out.data());
  std::vector<uint8_t> plain(bytes.size());
  Require(!cipher.TryOpenFrame(frame + 1, out, plain.data()));
  Require(cipher.TryOpenFrame(frame, out, plain.data()));
  Require(std::equal(plain.begin(), plain.end(), bytes.begin(), bytes.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (vdb::format::IsStoredSize(size))
    Require(vdb::format::StoredBytes(vdb::format::PlainBytes(size)) == size);
  const std::span<const uint8_t> bytes(data, std::min<size_t>(size, 16400));
  // A key that no seed was sealed under.
  static const vdb::crypto::SecretKey key = vdb::crypto::SecretKey::Random().value();
  static const vdb::crypto::ObjectNonce nonce = vdb::crypto::RandomObjectNonce().value();
  Try(ObjectCipher::Encrypted(key, nonce), size, bytes);
  Try(ObjectCipher::Unencrypted(nonce), size, bytes);
  return 0;
}
