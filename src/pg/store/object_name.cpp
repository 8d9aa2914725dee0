#include "pg/store/object_name.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string>

#include "base/hex.h"
#include "base/strcat.h"
#include "format/geometry.h"

namespace vdb::pg {
namespace {

std::string IndexPrefix(const MetaPage& meta) {
  return StrCat(ObjectPrefix(meta.incarnation, meta.database), Hex(meta.uuid), "/");
}

}  // namespace

std::string IncarnationPrefix(uint64_t incarnation) {
  const std::string prefix = ObjectPrefix(incarnation, InvalidOid);
  return prefix.substr(0, prefix.find('/') + 1);
}

std::string ObjectPrefix(uint64_t incarnation, Oid database) {
  char prefix[64];
  WriteObjectPrefix(incarnation, database, prefix);
  return prefix;
}

void WriteObjectPrefix(uint64_t incarnation, Oid database, char (&prefix)[64]) {
  snprintf(prefix, sizeof(prefix), "%016llx/%u/", static_cast<unsigned long long>(incarnation),
           database);
}

std::string_view PrefixOfName(std::string_view name) {
  const size_t first = name.find('/');
  const size_t second = first == name.npos ? name.npos : name.find('/', first + 1);
  return second == name.npos ? std::string_view() : name.substr(0, second + 1);
}

Oid DatabaseOfName(std::string_view name) {
  const size_t slash = name.find('/');
  const std::string rest(slash == name.npos ? std::string_view() : name.substr(slash + 1));
  return static_cast<Oid>(std::strtoul(rest.c_str(), nullptr, 10));
}

store::ObjectRef RemoteObject(const MetaPage& meta, const ObjectHeader& object) {
  store::ObjectRef ref;
  std::copy_n(object.id, ref.digest.size(), ref.digest.begin());
  ref.size = format::StoredBytes(object.plain_bytes);
  ref.name = StrCat(IndexPrefix(meta), Hex(object.id), ".bin");
  return ref;
}

store::ObjectRef RemoteManifest(const MetaPage& meta, const ManifestRef& manifest,
                                bool json_names) {
  store::ObjectRef ref;
  std::copy_n(manifest.id, ref.digest.size(), ref.digest.begin());
  ref.size = manifest.bytes;
  ref.name = StrCat(IndexPrefix(meta), "manifest-", meta.generation, json_names ? ".json" : ".bin");
  return ref;
}

}  // namespace vdb::pg
