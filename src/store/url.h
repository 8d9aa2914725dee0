/// The few things to know about URLs.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace vdb::store {

/// The URL of a store, as a user gives it, without a slash at its end.
/// Errors: kInvalidArgument unless it is http or https, with a host, and without user, password,
/// query and fragment: what such parts hold may be secret, so the message does not repeat it.
Result<std::string> CheckBaseUrl(std::string_view url);

/// Where a Location header leads from `base`. Errors: kUnavailable when it is no http or https URL.
Result<std::string> ResolveUrl(const std::string& base, std::string_view location);

/// Whether scheme, host and port are the same. False when one of them is no URL.
bool SameOrigin(const std::string& a, const std::string& b);

bool IsHttps(std::string_view url);

/// Everything but A-Z a-z 0-9 - . _ ~ as %XX, in capitals: RFC 3986, and what AWS signs.
std::string EscapeQuery(std::string_view text);

}  // namespace vdb::store
