#include "store/xml.h"

#include <charconv>
#include <vector>

namespace vdb::store {
namespace {

constexpr size_t kDeepest = 16;

Status Malformed() { return Corruption("malformed XML"); }

void AppendUtf8(uint32_t code, std::string* text) {
  const auto append = [&](uint32_t byte) { *text += static_cast<char>(byte); };
  if (code < 0x80) {
    append(code);
  } else if (code < 0x800) {
    append(0xc0 | code >> 6);
    append(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    append(0xe0 | code >> 12);
    append(0x80 | ((code >> 6) & 0x3f));
    append(0x80 | (code & 0x3f));
  } else {
    append(0xf0 | code >> 18);
    append(0x80 | ((code >> 12) & 0x3f));
    append(0x80 | ((code >> 6) & 0x3f));
    append(0x80 | (code & 0x3f));
  }
}

/// `name` is what stands between & and ;.
bool AppendEntity(std::string_view name, std::string* text) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [known, c] : kNamed) {
    if (name == known) return *text += c, true;
  }
  if (!name.starts_with('#')) return false;
  name.remove_prefix(1);
  int base = 10;
  if (name.starts_with('x')) {
    base = 16;
    name.remove_prefix(1);
  }
  uint32_t code = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), code, base);
  if (error != std::errc() || end != name.data() + name.size() || code == 0 || code > 0x10ffff)
    return false;
  AppendUtf8(code, text);
  return true;
}

bool AppendText(std::string_view raw, std::string* text) {
  for (size_t at = 0; at < raw.size();) {
    if (raw[at] != '&') {
      *text += raw[at++];
      continue;
    }
    const size_t end = raw.find(';', at);
    if (end == std::string_view::npos || !AppendEntity(raw.substr(at + 1, end - at - 1), text))
      return false;
    at = end + 1;
  }
  return true;
}

/// The position behind the tag that begins at `at`; npos when it does not end. A > within an
/// attribute's quotes does not end it.
size_t EndOfTag(std::string_view document, size_t at) {
  char quote = 0;
  for (; at < document.size(); ++at) {
    const char c = document[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

std::string_view NameOf(std::string_view tag) {
  std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n/>"));
  const size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

}  // namespace

Status ReadXml(
    std::string_view document,
    const std::function<Status(const std::string& path, const std::string& text)>& element) {
  struct Open {
    size_t path_bytes;  // of what is around it
    std::string text;
  };
  std::vector<Open> open;
  std::string path;
  const auto close = [&]() -> Status {
    Status status = element(path, open.back().text);
    path.resize(open.back().path_bytes);
    open.pop_back();
    return status;
  };
  for (size_t at = 0; at < document.size();) {
    const size_t tag = std::min(document.find('<', at), document.size());
    const std::string_view raw = document.substr(at, tag - at);
    if (!open.empty() && !AppendText(raw, &open.back().text)) return Malformed();
    if (tag == document.size()) break;
    if (document.substr(tag).starts_with("<!--")) {
      at = document.find("-->", tag);
      if (at == std::string_view::npos) return Malformed();
      at += 3;
      continue;
    }
    at = EndOfTag(document, tag);
    if (at == std::string_view::npos) return Malformed();
    const std::string_view inside = document.substr(tag + 1, at - tag - 2);
    if (inside.starts_with('?') || inside.starts_with('!')) continue;
    if (inside.starts_with('/')) {
      const std::string_view name = NameOf(inside.substr(1));
      if (open.empty() || !path.ends_with(name) ||
          path.size() - name.size() != open.back().path_bytes + (open.size() > 1 ? 1 : 0))
        return Malformed();
      VDB_RETURN_IF_ERROR(close());
      continue;
    }
    if (NameOf(inside).empty() || open.size() == kDeepest) return Malformed();
    open.push_back({path.size(), {}});
    if (open.size() > 1) path += '/';
    path += NameOf(inside);
    if (inside.ends_with('/')) VDB_RETURN_IF_ERROR(close());
  }
  return open.empty() ? Status() : Malformed();
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): what the callback took is freed with it

std::string EscapeXml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace vdb::store
