#include "store/multibase.h"

#include <algorithm>

namespace vdb::store {
namespace {

constexpr char kBase16[] = "0123456789abcdef";
constexpr char kBase32[] = "abcdefghijklmnopqrstuvwxyz234567";
constexpr char kBase58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kBase64Url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

Status Malformed() { return InvalidArgument("malformed multibase text"); }

/// `bits` at a time, the highest first; the last character is filled up with zeros.
std::string EncodeBits(const char* alphabet, int bits, std::span<const uint8_t> bytes) {
  std::string text;
  uint32_t held = 0;
  int held_bits = 0;
  for (const uint8_t byte : bytes) {
    held = (held << 8) | byte;
    held_bits += 8;
    for (; held_bits >= bits; held_bits -= bits) {
      text += alphabet[(held >> (held_bits - bits)) & ((1u << bits) - 1)];
    }
    held &= (1u << held_bits) - 1;
  }
  if (held_bits > 0) text += alphabet[(held << (bits - held_bits)) & ((1u << bits) - 1)];
  return text;
}

Result<std::vector<uint8_t>> DecodeBits(std::string_view alphabet, int bits,
                                        std::string_view text) {
  std::vector<uint8_t> bytes;
  uint32_t held = 0;
  int held_bits = 0;
  for (const char c : text) {
    const size_t digit = alphabet.find(c);
    if (digit == std::string_view::npos) return Malformed();
    held = (held << bits) | static_cast<uint32_t>(digit);
    held_bits += bits;
    if (held_bits >= 8) {
      held_bits -= 8;
      bytes.push_back(static_cast<uint8_t>(held >> held_bits));
      held &= (1u << held_bits) - 1;
    }
  }
  // Text of such a length, or with such an end, is not what an encoder writes.
  if (held != 0 || held_bits >= bits) return Malformed();
  return bytes;
}

/// A number in base 256 to one in base 58, both the most significant digit first. Leading zeros
/// stay, one for one.
std::string EncodeBase58(std::span<const uint8_t> bytes) {
  const size_t zeros =
      std::find_if(bytes.begin(), bytes.end(), [](uint8_t b) { return b != 0; }) - bytes.begin();
  std::vector<uint8_t> digits;  // the least significant first
  for (const uint8_t byte : bytes.subspan(zeros)) {
    uint32_t carry = byte;
    for (uint8_t& digit : digits) {
      carry += uint32_t{digit} << 8;
      digit = static_cast<uint8_t>(carry % 58);
      carry /= 58;
    }
    for (; carry != 0; carry /= 58) digits.push_back(static_cast<uint8_t>(carry % 58));
  }
  std::string text(zeros, kBase58[0]);
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) text += kBase58[*digit];
  return text;
}

Result<std::vector<uint8_t>> DecodeBase58(std::string_view text) {
  const std::string_view alphabet(kBase58);
  const size_t zeros = std::min(text.find_first_not_of(kBase58[0]), text.size());
  std::vector<uint8_t> bytes;  // the least significant first
  for (const char c : text.substr(zeros)) {
    const size_t digit = alphabet.find(c);
    if (digit == std::string_view::npos) return Malformed();
    uint32_t carry = static_cast<uint32_t>(digit);
    for (uint8_t& byte : bytes) {
      carry += uint32_t{byte} * 58;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    if (carry != 0) bytes.push_back(static_cast<uint8_t>(carry));
  }
  bytes.insert(bytes.end(), zeros, 0);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

}  // namespace

std::string EncodeMultibase(char base, std::span<const uint8_t> bytes) {
  switch (base) {
    case 'b':
      return base + EncodeBits(kBase32, 5, bytes);
    case 'f':
      return base + EncodeBits(kBase16, 4, bytes);
    case 'u':
      return base + EncodeBits(kBase64Url, 6, bytes);
    default:
      return 'z' + EncodeBase58(bytes);
  }
}

Result<std::vector<uint8_t>> DecodeMultibase(std::string_view text) {
  if (text.empty() || text.size() > kMaxMultibaseBytes) return Malformed();
  const std::string_view digits = text.substr(1);
  switch (text.front()) {
    case 'b':
      return DecodeBits(kBase32, 5, digits);
    case 'f':
      return DecodeBits(kBase16, 4, digits);
    case 'u':
      return DecodeBits(kBase64Url, 6, digits);
    case 'z':
      return DecodeBase58(digits);
    default:
      return Malformed();
  }
}

std::string EncodeBase64(std::span<const uint8_t> bytes) {
  std::string text = EncodeBits(kBase64, 6, bytes);
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::string EncodeBase64Url(std::span<const uint8_t> bytes) {
  return EncodeBits(kBase64Url, 6, bytes);
}

Result<std::vector<uint8_t>> DecodeBase64Url(std::string_view text) {
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  return DecodeBits(kBase64Url, 6, text);
}

}  // namespace vdb::store
