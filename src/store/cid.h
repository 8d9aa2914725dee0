/// S5's identifiers of blobs. All of them are bytes, written as multibase text.
///
///   legacy raw CID   26 1f | BLAKE3 (32) | size      what the HTTP calls GET, pin and delete want
///   blob id          5b 82 1e | BLAKE3 (32) | size   what newer software writes
///   encrypted CID    ae a6 | log2 of the chunk size | 1f BLAKE3 of the ciphertext (32) | key (32)
///   |
///                    padding, u32 | legacy raw CID of the plaintext
///
/// Sizes are little-endian without the zeros at their end, but of at least one byte.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/object_store.h"

namespace vdb::store {

struct BlobId {
  Digest digest{};
  uint64_t size = 0;  // bytes
  bool operator==(const BlobId&) const = default;
};

/// All that it takes to read an encrypted blob: it holds the key, so it is a secret.
struct EncryptedCid {
  uint8_t chunk_log2 = 0;     // plaintext bytes of a chunk: 14 is ours, 18 what S5.js writes
  Digest encrypted_digest{};  // of the stored bytes
  std::array<uint8_t, 32> key{};
  uint32_t padding = 0;  // bytes at the end of the decrypted blob that are not the plaintext's
  BlobId plain;
  bool operator==(const EncryptedCid&) const = default;
};

std::vector<uint8_t> LegacyCid(const BlobId& blob);
std::vector<uint8_t> BlobIdBytes(const BlobId& blob);
std::vector<uint8_t> EncryptedCidBytes(const EncryptedCid& cid);

/// Either form of a plain blob's id; 0 to 8 bytes of size.
/// Errors: kInvalidArgument.
Result<BlobId> ParseCid(std::span<const uint8_t> bytes);
/// Errors: kInvalidArgument; the bytes are not repeated.
Result<EncryptedCid> ParseEncryptedCid(std::span<const uint8_t> bytes);

/// From multibase text. Errors: kInvalidArgument.
Result<BlobId> ParseCidText(std::string_view text);

}  // namespace vdb::store
