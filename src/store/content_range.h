/// The header that says which bytes of an object a reply holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vdb::store {

struct ContentRange {
  uint64_t first, last;          // bytes; the last one included
  std::optional<uint64_t> size;  // of the object, where it is said
};

/// "bytes 5-9/100" or "bytes 5-9/*"; nothing for anything else, nor where the last byte comes
/// before the first or is not inside the object.
std::optional<ContentRange> ParseContentRange(std::string_view text);

}  // namespace vdb::store
