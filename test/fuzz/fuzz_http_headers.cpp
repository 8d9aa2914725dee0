// What HTTP headers say to a store: Content-Range and Location; and the URLs that people give. A
// range that is accepted writes itself again, a URL that is accepted stands for itself, and none
// that holds a password is.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/strcat.h"
#include "store/content_range.h"
#include "store/url.h"

namespace {

using namespace vdb::store;  // NOLINT(google-build-using-namespace): one file

void Require(bool condition) {
  if (!condition) std::abort();
}

void TryRange(std::string_view text) {
  const std::optional<ContentRange> range = ParseContentRange(text);
  if (!range.has_value()) return;
  Require(range->first <= range->last && (!range->size || range->last < *range->size));
  const std::string size = range->size ? std::to_string(*range->size) : "*";
  const auto again =
      ParseContentRange(vdb::StrCat("bytes ", range->first, "-", range->last, "/", size));
  Require(again.has_value() && again->first == range->first && again->last == range->last &&
          again->size == range->size);
}

void TryBase(std::string_view text) {
  const vdb::Result<std::string> base = CheckBaseUrl(text);
  if (!base.ok()) {
    Require(base.status().code() == vdb::Code::kInvalidArgument);
    return;
  }
  Require(!base.value().ends_with('/') && base.value().find('@') == std::string::npos);
  Require(CheckBaseUrl(base.value()).value() == base.value());
  Require(SameOrigin(base.value(), base.value() + "/s5/blob/z1"));
}

void TryLocation(std::string_view text) {
  const std::string from = "https://store.example:8443/a/b?c=d";
  const vdb::Result<std::string> to = ResolveUrl(from, text);
  if (!to.ok()) {
    Require(to.status().code() == vdb::Code::kUnavailable);
    return;
  }
  Require(ResolveUrl(from, to.value()).value() == to.value());
  Require(SameOrigin(to.value(), to.value()));
  Require(IsHttps(to.value()) || to.value().starts_with("http://"));
  // What has no scheme and no host of its own stays where it was.
  if (text.starts_with("/") && !text.starts_with("//")) Require(SameOrigin(from, to.value()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  TryRange(text);
  TryBase(text);
  TryLocation(text);
  const std::string escaped = EscapeQuery(text);
  Require(escaped.find_first_of("&=?#/+ ") == std::string::npos);
  Require(escaped.size() >= text.size() && escaped.size() <= 3 * text.size());
  return 0;
}
