/// A reader of the flat JSON objects that S5's nodes answer with: {"name": "text", "revision": 7}.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vdb::store {

/// Texts and numbers by name; numbers, true, false and null as they are written. Of a name that
/// comes twice, the last. Errors: kCorruption for anything else, as for objects and arrays inside
/// and for \u escapes: nothing that is read here needs them.
Result<std::map<std::string, std::string>> ReadJsonFields(std::string_view document);

}  // namespace vdb::store
