#include "crypto/key_ring.h"

#include <sodium.h>

#include "base/strcat.h"
#include "crypto/hash.h"

namespace vdb::crypto {
namespace {

constexpr char kFingerprintContext[] = "vdb_ext master key fingerprint";
constexpr std::string_view kBlanks = " \t\r";

bool IsKeyId(std::string_view id) {
  if (id.empty() || id.size() > kMaxKeyIdBytes) return false;
  for (const char c : id) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (!letter && !digit && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

std::string_view Trim(std::string_view line) {
  const size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

// 64 hexadecimal digits, or base64 (either alphabet, with or without padding) of 32 bytes.
bool DecodeKey(std::string_view text, SecretKey* key) {
  uint8_t* const out = key->mutable_bytes().data();
  size_t bytes = 0;
  if (text.size() == 2 * kKeyBytes) {
    return sodium_hex2bin(out, kKeyBytes, text.data(), text.size(), nullptr, &bytes, nullptr) ==
               0 &&
           bytes == kKeyBytes;
  }
  for (const int variant :
       {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE,
        sodium_base64_VARIANT_ORIGINAL_NO_PADDING, sodium_base64_VARIANT_URLSAFE_NO_PADDING}) {
    if (sodium_base642bin(out, kKeyBytes, text.data(), text.size(), nullptr, &bytes, nullptr,
                          variant) == 0 &&
        bytes == kKeyBytes)
      return true;
  }
  return false;
}

}  // namespace

std::string KeyFingerprint(const SecretKey& key) {
  const SecretKey derived = DeriveKey(kFingerprintContext, key.bytes());
  char hex[17];
  sodium_bin2hex(hex, sizeof(hex), derived.data(), 8);
  return hex;
}

Status KeyRing::Add(std::string_view id, SecretKey key) {
  if (keys_.size() == kMaxRingKeys)
    return InvalidArgument(StrCat("there are more than ", kMaxRingKeys, " master keys"));
  if (id.empty()) {
    std::string fingerprint = KeyFingerprint(key);
    if (Find(fingerprint) != nullptr)
      return InvalidArgument(StrCat("master key \"", fingerprint, "\" is given twice"));
    keys_.push_back({std::move(fingerprint), std::move(key)});
    return {};
  }
  if (!IsKeyId(id))
    return InvalidArgument("malformed master key id")
        .WithDetail(StrCat("A key id is 1 to ", kMaxKeyIdBytes, " of A-Z a-z 0-9 . _ -."));
  for (const MasterKey& other : keys_) {
    if (other.id == id) return InvalidArgument(StrCat("master key \"", id, "\" is given twice"));
  }
  keys_.push_back({std::string(id), std::move(key)});
  return {};
}

const MasterKey* KeyRing::Find(std::string_view id) const {
  for (const MasterKey& key : keys_) {
    if (key.id == id) return &key;
  }
  for (const MasterKey& key : keys_) {
    if (KeyFingerprint(key.key) == id) return &key;
  }
  return nullptr;
}

Result<KeyRing> ParseKeyRing(std::string_view text) {
  VDB_RETURN_IF_ERROR(InitCrypto());
  if (text.size() > kMaxKeyRingTextBytes)
    return InvalidArgument(
        StrCat("the master keys take more than ", kMaxKeyRingTextBytes, " bytes"));
  KeyRing ring;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;

    const size_t colon = line.find(':');
    const bool named = colon != std::string_view::npos;
    const std::string_view id = named ? Trim(line.substr(0, colon)) : std::string_view();
    SecretKey key;
    // Neither half of the line is repeated in a message: a key may stand where the id should.
    if (named && !IsKeyId(id))
      return InvalidArgument(StrCat("malformed key id in line ", number, " of the master keys"))
          .WithDetail(StrCat("A key id is 1 to ", kMaxKeyIdBytes, " of A-Z a-z 0-9 . _ -."));
    if (!DecodeKey(Trim(named ? line.substr(colon + 1) : line), &key))
      return InvalidArgument(StrCat("malformed key in line ", number, " of the master keys"))
          .WithHint(
              "Each line is KEY or id:KEY, where KEY is 64 hexadecimal digits or the base64 "
              "of 32 bytes.");
    VDB_RETURN_IF_ERROR(ring.Add(id, std::move(key)));
  }
  if (ring.empty()) return InvalidArgument("there is no master key");
  return ring;
}

}  // namespace vdb::crypto
