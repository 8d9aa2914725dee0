#include "store/content_range.h"

#include <charconv>

namespace vdb::store {

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* at = text.data() + kUnit.size();
  const char* const end = text.data() + text.size();
  const auto number = [&](uint64_t* value) {
    const auto [next, error] = std::from_chars(at, end, *value);
    at = next;
    return error == std::errc();
  };
  const auto skip = [&](char c) { return at != end && *at++ == c; };
  ContentRange range;
  if (!number(&range.first) || !skip('-') || !number(&range.last) || !skip('/') ||
      range.last < range.first)
    return std::nullopt;
  if (std::string_view(at, end - at) == "*") return range;
  uint64_t size;
  if (!number(&size) || at != end || range.last >= size) return std::nullopt;
  range.size = size;
  return range;
}

}  // namespace vdb::store
