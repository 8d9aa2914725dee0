/// A reader of the small XML documents that S3 answers with.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vdb::store {

/// Calls `element` at the end of each element with its path, `Outer/Inner`, and the text between
/// its tags, entities resolved; attributes, comments and prefixes of names are skipped. Stops when
/// `element` fails.
/// Errors: kCorruption when it is not well-formed, or nested deeper than 16; what `element`
/// returns.
Status ReadXml(
    std::string_view document,
    const std::function<Status(const std::string& path, const std::string& text)>& element);

/// Text as the content of an element.
std::string EscapeXml(std::string_view text);

}  // namespace vdb::store
