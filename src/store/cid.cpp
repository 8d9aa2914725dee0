#include "store/cid.h"

#include <algorithm>

#include "store/multibase.h"

namespace vdb::store {
namespace {

constexpr uint8_t kRaw = 0x26;
constexpr uint8_t kBlake3 = 0x1f;
constexpr std::array<uint8_t, 3> kBlob = {0x5b, 0x82, 0x1e};
constexpr std::array<uint8_t, 2> kEncrypted = {0xae, 0xa6};
constexpr size_t kPlainAt = 2 + 1 + 1 + 32 + 32 + 4;

void Append(std::vector<uint8_t>& out, std::span<const uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void AppendIdAndSize(std::vector<uint8_t>& out, const BlobId& blob) {
  Append(out, blob.digest);
  uint64_t size = blob.size;
  do {
    out.push_back(static_cast<uint8_t>(size));
    size >>= 8;
  } while (size != 0);
}

bool StartsWith(std::span<const uint8_t> bytes, std::span<const uint8_t> start) {
  return bytes.size() >= start.size() && std::equal(start.begin(), start.end(), bytes.begin());
}

Status Malformed(const char* what) { return InvalidArgument(std::string("malformed ") + what); }

}  // namespace

std::vector<uint8_t> LegacyCid(const BlobId& blob) {
  std::vector<uint8_t> out = {kRaw, kBlake3};
  AppendIdAndSize(out, blob);
  return out;
}

std::vector<uint8_t> BlobIdBytes(const BlobId& blob) {
  std::vector<uint8_t> out(kBlob.begin(), kBlob.end());
  AppendIdAndSize(out, blob);
  return out;
}

std::vector<uint8_t> EncryptedCidBytes(const EncryptedCid& cid) {
  std::vector<uint8_t> out(kEncrypted.begin(), kEncrypted.end());
  out.push_back(cid.chunk_log2);
  out.push_back(kBlake3);
  Append(out, cid.encrypted_digest);
  Append(out, cid.key);
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<uint8_t>(cid.padding >> shift));
  Append(out, LegacyCid(cid.plain));
  return out;
}

Result<BlobId> ParseCid(std::span<const uint8_t> bytes) {
  constexpr std::array<uint8_t, 2> kLegacy = {kRaw, kBlake3};
  size_t at = 0;
  if (StartsWith(bytes, kLegacy)) {
    at = kLegacy.size();
  } else if (StartsWith(bytes, kBlob)) {
    at = kBlob.size();
  } else {
    return Malformed("CID");
  }
  BlobId blob;
  const std::span<const uint8_t> rest = bytes.subspan(at);
  if (rest.size() < blob.digest.size() || rest.size() > blob.digest.size() + 8)
    return Malformed("CID");
  std::copy_n(rest.begin(), blob.digest.size(), blob.digest.begin());
  for (size_t i = rest.size(); i-- > blob.digest.size();) blob.size = blob.size << 8 | rest[i];
  return blob;
}

Result<EncryptedCid> ParseEncryptedCid(std::span<const uint8_t> bytes) {
  if (bytes.size() < kPlainAt || !StartsWith(bytes, kEncrypted) || bytes[3] != kBlake3)
    return Malformed("encrypted CID");
  EncryptedCid cid;
  cid.chunk_log2 = bytes[2];
  // Beyond this no chunk would fit the 32-bit padding.
  if (cid.chunk_log2 > 31) return Malformed("encrypted CID");
  std::copy_n(bytes.begin() + 4, 32, cid.encrypted_digest.begin());
  std::copy_n(bytes.begin() + 36, 32, cid.key.begin());
  for (size_t i = 4; i-- > 0;) cid.padding = cid.padding << 8 | bytes[68 + i];
  VDB_ASSIGN_OR_RETURN(cid.plain, ParseCid(bytes.subspan(kPlainAt)));
  return cid;
}

Result<BlobId> ParseCidText(std::string_view text) {
  VDB_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, DecodeMultibase(text));
  return ParseCid(bytes);
}

}  // namespace vdb::store
