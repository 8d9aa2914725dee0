/// What goes into a manifest; vdb.manifest(index), which shows it.
#include "pg/pg.h"

#include "pg/am/index_manifest.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/strcat.h"
#include "format/geometry.h"
#include "pg/am/inspect.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "store/cid.h"
#include "store/multibase.h"

extern "C" {
#include "utils/jsonb.h"
}

namespace vdb::pg {
namespace {

constexpr char kBase58 = 'z';  // what S5 writes plain CIDs in

format::ManifestObject ObjectOf(const ObjectHeader& header) {
  format::ManifestObject object;
  std::copy_n(header.id, object.id.size(), object.id.begin());
  object.bytes = format::StoredBytes(header.plain_bytes);
  object.cid = PlainCid(header.id, object.bytes);
  return object;
}

/// The text; empty: the index has no objects.
std::string TextOf(Relation index) {
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const std::vector<SegmentEntry> segments = ReadSegments(index, meta);
  return segments.empty() ? std::string() : ManifestText(meta, segments);
}

}  // namespace

std::string PlainCid(const uint8_t (&id)[32], uint64_t stored_bytes) {
  store::BlobId blob;
  std::copy_n(id, blob.digest.size(), blob.digest.begin());
  blob.size = stored_bytes;
  return store::EncodeMultibase(kBase58, store::LegacyCid(blob));
}

format::Manifest IndexManifest(const MetaPage& meta, const std::vector<SegmentEntry>& segments) {
  if (segments.size() != 1) {
    ThrowIfError(Status(Code::kUnsupported,
                        StrCat("an index of ", segments.size(), " segments has no manifest")));
  }
  const SegmentEntry& segment = segments.front();
  format::Manifest manifest;
  std::copy_n(meta.uuid, manifest.index.size(), manifest.index.begin());
  manifest.epoch = meta.generation;
  if (meta.parent.bytes != 0) manifest.parent = PlainCid(meta.parent.id, meta.parent.bytes);
  manifest.dimensions = meta.dim;
  manifest.metric = static_cast<Metric>(meta.metric);
  manifest.element = static_cast<ElementType>(meta.element);
  manifest.chunk_size = meta.chunk_size;
  manifest.total_vectors = segment.header.n_rows;
  manifest.lists = static_cast<uint32_t>(segment.list_rows.size());
  manifest.routing = ObjectOf(segment.routing.header);
  for (const ObjectEntry& chunk : segment.chunks) {
    const ObjectHeader& header = chunk.header;
    const auto first = segment.list_rows.begin() + header.first_list;
    manifest.chunks.push_back({ObjectOf(header),
                               std::accumulate(first, first + header.n_lists, uint64_t{0}),
                               header.first_list, header.n_lists});
  }
  return manifest;
}

std::string ManifestText(const MetaPage& meta, const std::vector<SegmentEntry>& segments) {
  Result<std::string> text = format::WriteManifest(IndexManifest(meta, segments));
  ThrowIfError(text.status());
  return std::move(text).value();
}

}  // namespace vdb::pg

VDB_FUNCTION(vdb_manifest) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  bool none = false;
  const Datum manifest = Entry(__func__, [&]() -> Datum {
    const Oid oid = PG_GETARG_OID(0);
    Relation index = Call([&] { return OpenOwnedIndex(oid); });
    const std::string json = TextOf(index);
    none = json.empty();
    return Call([&] {
      relation_close(index, AccessShareLock);
      return none ? Datum{0} : DirectFunctionCall1(jsonb_in, CStringGetDatum(json.c_str()));
    });
  });
  if (none) PG_RETURN_NULL();
  return manifest;
}
