#include "store/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace vdb::store {
namespace {

using Url = std::unique_ptr<CURLU, void (*)(CURLU*)>;

/// Null when it is no URL.
Url Parse(const std::string& text) {
  Url url(curl_url(), curl_url_cleanup);
  if (url != nullptr && curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    url.reset();
  return url;
}

/// Empty when there is none.
std::string Part(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

bool IsHttp(const Url& url) {
  const std::string scheme = Part(url, CURLUPART_SCHEME);
  return scheme == "http" || scheme == "https";
}

bool IsVisible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

/// Whether curl reads the URL that it wrote as the same again: in a host's name it resolves
/// escapes, of which others, or what no URL may hold, can come out.
bool StandsForItself(const std::string& text) {
  if (!IsVisible(text)) return false;
  const Url again = Parse(text);
  return again != nullptr && Part(again, CURLUPART_URL) == text;
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

}  // namespace

Result<std::string> CheckBaseUrl(std::string_view text) {
  if (!IsVisible(text)) return InvalidArgument("invalid character in the URL of a store");
  const Url url = Parse(std::string(text));
  if (url == nullptr || !IsHttp(url) || Part(url, CURLUPART_HOST).empty())
    return InvalidArgument("the URL of a store must begin with http:// or https:// and a host");
  // Also an empty one, which curl would not tell from none.
  if (text.find_first_of("@?#") != std::string_view::npos)
    return InvalidArgument("the URL of a store must have no user, password, query or fragment");
  std::string base = Part(url, CURLUPART_URL);
  if (!StandsForItself(base)) return InvalidArgument("invalid character in the URL of a store");
  while (base.ends_with('/')) base.pop_back();
  return base;
}

Result<std::string> ResolveUrl(const std::string& base, std::string_view location) {
  const Url url = Parse(base);
  if (url == nullptr ||
      curl_url_set(url.get(), CURLUPART_URL, std::string(location).c_str(), 0) != CURLUE_OK ||
      !IsHttp(url) || !Part(url, CURLUPART_USER).empty() || !Part(url, CURLUPART_PASSWORD).empty())
    return Status(Code::kUnavailable, "redirected to something that is no URL");
  std::string to = Part(url, CURLUPART_URL);
  if (!StandsForItself(to))
    return Status(Code::kUnavailable, "redirected to something that is no URL");
  return to;
}

bool SameOrigin(const std::string& a, const std::string& b) {
  const Url first = Parse(a), second = Parse(b);
  if (first == nullptr || second == nullptr) return false;
  return Part(first, CURLUPART_SCHEME) == Part(second, CURLUPART_SCHEME) &&
         Lower(Part(first, CURLUPART_HOST)) == Lower(Part(second, CURLUPART_HOST)) &&
         Part(first, CURLUPART_PORT, CURLU_DEFAULT_PORT) ==
             Part(second, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

bool IsHttps(std::string_view url) { return Lower(std::string(url.substr(0, 8))) == "https://"; }

std::string EscapeQuery(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      escaped += c;
    } else {
      escaped += '%';
      escaped += kDigits[static_cast<unsigned char>(c) >> 4];
      escaped += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return escaped;
}

}  // namespace vdb::store
