// XML as an S3 service answers. Elements end inside out and not too deep, and a text that was read
// is read again when it is written.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "store/xml.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireReadsBack(const std::string& text) {
  std::string back;
  const std::string document = "<a>" + vdb::store::EscapeXml(text) + "</a>";
  const vdb::Status read =
      vdb::store::ReadXml(document, [&](const std::string& path, const std::string& content) {
        Require(path == "a");
        back = content;
        return vdb::Status();
      });
  Require(read.ok());
  Require(back == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view document(reinterpret_cast<const char*>(data), size);
  size_t elements = 0;
  const vdb::Status status =
      vdb::store::ReadXml(document, [&](const std::string& path, const std::string& text) {
        Require(!path.empty() && std::count(path.begin(), path.end(), '/') < 16);
        // Text comes from the document; an entity is never shorter than what it stands for.
        Require(text.size() <= document.size());
        if (++elements <= 4) RequireReadsBack(text);
        return vdb::Status();
      });
  Require(status.ok() || status.code() == vdb::Code::kCorruption);
  // Every element has a < of its own.
  Require(elements <= static_cast<size_t>(std::count(document.begin(), document.end(), '<')));
  // A reader that has had enough ends it.
  size_t calls = 0;
  const vdb::Status stopped =
      vdb::store::ReadXml(document, [&](const std::string&, const std::string&) {
        ++calls;
        return vdb::Internal("enough");
      });
  Require(calls <= 1 && (calls == 0 || stopped.code() == vdb::Code::kInternal));
  return 0;
}
