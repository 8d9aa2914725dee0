#include "pg/store/object_name.h"

#include <algorithm>
#include <span>
#include <string>

#include "base/strcat.h"
#include "format/geometry.h"

namespace vdb::pg {
namespace {

std::string Hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

store::ObjectRef RemoteObject(const MetaPage& meta, const ObjectHeader& object) {
  uint8_t incarnation[sizeof(meta.incarnation)];
  for (size_t i = 0; i < sizeof(incarnation); i++) {
    incarnation[i] = static_cast<uint8_t>(meta.incarnation >> (8 * (sizeof(incarnation) - 1 - i)));
  }
  store::ObjectRef ref;
  std::copy_n(object.id, ref.digest.size(), ref.digest.begin());
  ref.size = format::StoredBytes(object.plain_bytes);
  ref.name = StrCat(Hex(incarnation), "/", meta.database, "/", Hex(meta.uuid), "/", Hex(object.id),
                    ".bin");
  return ref;
}

}  // namespace vdb::pg
