#include "format/manifest.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "base/hex.h"
#include "base/strcat.h"

namespace vdb::format {
namespace {

// Members in the order in which they are added: a manifest is read by people, too.
using Json = nlohmann::ordered_json;

constexpr size_t kMaxCidChars = 256;

bool ParseHex(std::string_view text, std::span<uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool IsCid(std::string_view text) {
  return !text.empty() && text.size() <= kMaxCidChars &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_';
         });
}

Status Fault(std::string_view where, std::string_view what) {
  return Corruption(StrCat("manifest: ", where, " ", what));
}

// Takes an object's members one by one. The first fault stays; what follows reads as zero.
class Members {
 public:
  Members(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) Fail(where_, "is not an object");
  }

  const Json* Get(const char* name) {
    ++taken_;
    if (!status_.ok()) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) return Fail(Path(name), "is missing"), nullptr;
    return &*found;
  }

  template <class Number>
  Number Unsigned(const char* name, Number least = 0) {
    const Json* value = Get(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) return Fail(Path(name), "is not a whole number"), Number{0};
    const auto number = value->template get<uint64_t>();
    if (number < least || number > std::numeric_limits<Number>::max()) {
      return Fail(Path(name), "is out of range"), Number{0};
    }
    return static_cast<Number>(number);
  }

  std::string Text(const char* name) {
    const Json* value = Get(name);
    if (value == nullptr) return {};
    if (!value->is_string()) return Fail(Path(name), "is not a string"), std::string();
    return value->get<std::string>();
  }

  std::string Cid(const char* name) {
    std::string text = Text(name);
    if (status_.ok() && !IsCid(text)) Fail(Path(name), "is not a CID");
    return text;
  }

  template <size_t n>
  std::array<uint8_t, n> Bytes(const char* name) {
    std::array<uint8_t, n> bytes{};
    const std::string text = Text(name);
    if (status_.ok() && !ParseHex(text, bytes))
      Fail(Path(name), "is not hexadecimal of its length");
    return bytes;
  }

  /// Of the values from `first` to `last` the one of that name.
  template <typename Enum>
  Enum Named(const char* name, Enum first, Enum last) {
    const std::string text = Text(name);
    for (auto i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
      if (text == NameOf(static_cast<Enum>(i))) return static_cast<Enum>(i);
    }
    if (status_.ok()) Fail(Path(name), "is not known");
    return first;
  }

  void Fail(std::string_view where, std::string_view what) {
    if (status_.ok()) status_ = Fault(where, what);
  }
  std::string Path(const char* name) const {
    return where_.empty() ? StrCat("\"", name, "\"") : StrCat(where_, ".", name);
  }

  /// After all members that there may be have been taken.
  Status Finish() {
    if (status_.ok() && object_.size() != taken_)
      Fail(where_.empty() ? "it" : where_, "has fields that are not known");
    return status_;
  }

 private:
  const Json& object_;
  std::string where_;
  size_t taken_ = 0;
  Status status_;
};

ManifestObject TakeObject(Members* members) {
  ManifestObject object;
  object.id = members->Bytes<32>("id");
  object.cid = members->Cid("cid");
  object.bytes = members->Unsigned<uint64_t>("byte_size", 1);
  return object;
}

void Put(const ManifestObject& object, Json* json) {
  (*json)["id"] = Hex(object.id);
  (*json)["cid"] = object.cid;
  (*json)["byte_size"] = object.bytes;
}

Result<ManifestChunk> ParseManifestChunk(const Json& json, size_t number) {
  ManifestChunk chunk;
  Members members(json, StrCat("chunk ", number));
  chunk.object = TakeObject(&members);
  chunk.vectors = members.Unsigned<uint64_t>("vector_count", 1);
  const Json* range = members.Get("list_range");
  if (range != nullptr) {
    const bool pair = range->is_array() && range->size() == 2 && (*range)[0].is_number_unsigned() &&
                      (*range)[1].is_number_unsigned();
    const auto first = pair ? (*range)[0].get<uint64_t>() : 1;
    const auto last = pair ? (*range)[1].get<uint64_t>() : 0;
    if (last < first || last >= std::numeric_limits<uint32_t>::max()) {
      members.Fail(members.Path("list_range"), "is not the first and the last of its lists");
    } else {
      chunk.first_list = static_cast<uint32_t>(first);
      chunk.lists = static_cast<uint32_t>(last - first + 1);
    }
  }
  VDB_RETURN_IF_ERROR(members.Finish());
  return chunk;
}

// What the fields say together.
Status Check(const Manifest& manifest) {
  if (NameOf(manifest.metric) == nullptr || NameOf(manifest.element) == nullptr) {
    return Fault("metric or element type", "is not known");
  }
  if (manifest.dimensions < 1 || manifest.dimensions > kMaxObjectDim) {
    return Fault("\"dimensions\"", "is out of range");
  }
  if (manifest.parent && !IsCid(*manifest.parent)) return Fault("\"parent\"", "is not a CID");
  if (!IsCid(manifest.routing.cid)) return Fault("routing.cid", "is not a CID");
  uint64_t vectors = 0;
  uint64_t next_list = 0;
  for (size_t i = 0; i < manifest.chunks.size(); ++i) {
    const ManifestChunk& chunk = manifest.chunks[i];
    const std::string where = StrCat("chunk ", i);
    if (!IsCid(chunk.object.cid)) return Fault(where, "has no CID");
    if (chunk.first_list < next_list) return Fault(where, "has lists of the chunk before it");
    if (chunk.first_list > next_list) return Fault(where, "leaves out lists before it");
    next_list = uint64_t{chunk.first_list} + chunk.lists;
    vectors += chunk.vectors;
  }
  if (next_list != manifest.lists) return Fault("the chunks", "have another number of lists");
  if (vectors != manifest.total_vectors) {
    return Fault("the chunks", "have another number of vectors");
  }
  return {};
}

}  // namespace

Result<std::string> WriteManifest(const Manifest& manifest) {
  if (Status status = Check(manifest); !status.ok()) return InvalidArgument(status.message());
  Json json;
  json["version"] = kManifestVersion;
  json["index"] = Hex(manifest.index);
  json["epoch"] = manifest.epoch;
  json["parent"] = manifest.parent ? Json(*manifest.parent) : Json(nullptr);
  json["dimensions"] = manifest.dimensions;
  json["metric"] = NameOf(manifest.metric);
  json["element_type"] = NameOf(manifest.element);
  json["chunk_size"] = manifest.chunk_size;
  json["total_vectors"] = manifest.total_vectors;
  Json chunks = Json::array();
  for (const ManifestChunk& chunk : manifest.chunks) {
    Json entry;
    Put(chunk.object, &entry);
    entry["vector_count"] = chunk.vectors;
    entry["list_range"] = {chunk.first_list, chunk.first_list + chunk.lists - 1};
    chunks.push_back(std::move(entry));
  }
  json["chunks"] = std::move(chunks);
  Json routing;
  Put(manifest.routing, &routing);
  json["ivf_structure"] = {{"lists", manifest.lists}, {"routing", std::move(routing)}};
  return json.dump(1) + "\n";
}

Result<Manifest> ParseManifest(std::string_view text) {
  if (text.size() > kMaxManifestBytes) return Fault("it", "is too long");
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Fault("it", "is not JSON");
  if (!json.is_object()) return Fault("it", "is not an object");
  // Before anything else: what another version's fields mean is not known here.
  const auto version = json.find("version");
  if (version == json.end()) return Fault("\"version\"", "is missing");
  if (!version->is_number_integer() || *version != kManifestVersion) {
    return Status(Code::kUnsupported,
                  StrCat("manifest version ", version->dump().substr(0, 32), " is not known"))
        .WithDetail(StrCat("Known is version ", kManifestVersion, "."));
  }
  // A structure that the version has a name for, and this reader no use.
  if (json.contains("hnsw_structure")) {
    return Status(Code::kUnsupported, "manifest: \"hnsw_structure\" is not supported")
        .WithDetail("Indexes are of lists (\"ivf_structure\") alone.");
  }

  Manifest manifest;
  Members members(json, "");
  (void)members.Get("version");
  manifest.index = members.Bytes<std::tuple_size_v<Uuid>>("index");
  manifest.epoch = members.Unsigned<uint64_t>("epoch");
  if (const Json* parent = members.Get("parent"); parent != nullptr && !parent->is_null()) {
    if (parent->is_string()) {
      manifest.parent = parent->get<std::string>();
    } else {
      members.Fail("\"parent\"", "is not a string");
    }
  }
  manifest.dimensions = members.Unsigned<uint32_t>("dimensions");
  manifest.metric = members.Named("metric", Metric::kL2, Metric::kL1);
  manifest.element = members.Named("element_type", ElementType::kFloat32, ElementType::kFloat16);
  manifest.chunk_size = members.Unsigned<uint32_t>("chunk_size", 1);
  manifest.total_vectors = members.Unsigned<uint64_t>("total_vectors");
  const Json* const chunks = members.Get("chunks");
  const Json* const structure = members.Get("ivf_structure");
  VDB_RETURN_IF_ERROR(members.Finish());
  if (!chunks->is_array()) return Fault("\"chunks\"", "is not an array");
  for (size_t i = 0; i < chunks->size(); ++i) {
    VDB_ASSIGN_OR_RETURN(ManifestChunk chunk, ParseManifestChunk((*chunks)[i], i));
    manifest.chunks.push_back(std::move(chunk));
  }
  Members ivf(*structure, "ivf_structure");
  manifest.lists = ivf.Unsigned<uint32_t>("lists");
  const Json* const routing = ivf.Get("routing");
  VDB_RETURN_IF_ERROR(ivf.Finish());
  Members object(*routing, "routing");
  manifest.routing = TakeObject(&object);
  VDB_RETURN_IF_ERROR(object.Finish());
  VDB_RETURN_IF_ERROR(Check(manifest));
  return manifest;
}

}  // namespace vdb::format
