// JSON as an S5 node answers. Fields that were read are read again when they are written.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "store/json_fields.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto fields = vdb::store::ReadJsonFields({reinterpret_cast<const char*>(data), size});
  if (!fields.ok()) {
    Require(fields.status().code() == vdb::Code::kCorruption);
    return 0;
  }
  std::string document;
  for (const auto& [name, value] : fields.value())
    document += (document.empty() ? "{ " : " ,") + Quoted(name) + "\t:\n" + Quoted(value);
  if (document.empty()) document = "{";
  const auto back = vdb::store::ReadJsonFields(document + "}");
  Require(back.ok());
  Require(back.value() == fields.value());
  return 0;
}
