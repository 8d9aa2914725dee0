/// Multibase: bytes as text whose first character says how: `z` base58 (Bitcoin's alphabet), `b`
/// base32 in lower case, `u` base64url, `f` hexadecimal; the middle two without padding. What S5
/// writes identifiers in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vdb::store {

/// The longest text that is decoded: base58 takes time in the square of it.
inline constexpr size_t kMaxMultibaseBytes = 1024;

/// Pre: `base` is one of `zbuf`.
std::string EncodeMultibase(char base, std::span<const uint8_t> bytes);

/// Errors: kInvalidArgument for another base, a character that is not of it, bits left over that
/// are not 0, or more than kMaxMultibaseBytes. The text is not repeated: it may hold a key.
Result<std::vector<uint8_t>> DecodeMultibase(std::string_view text);

/// Base64 as HTTP headers and S5's registry want it.
std::string EncodeBase64(std::span<const uint8_t> bytes);             // + / and padding
std::string EncodeBase64Url(std::span<const uint8_t> bytes);          // - _, no padding
Result<std::vector<uint8_t>> DecodeBase64Url(std::string_view text);  // padding allowed

}  // namespace vdb::store
