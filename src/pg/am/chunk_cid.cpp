/// vdb.chunk_cid(index, number): all that it takes to read one object of an index without
/// PostgreSQL: where it is, its key and what comes out.
#include "pg/pg.h"

#include <cstring>
#include <string>

#include "base/strcat.h"
#include "crypto/hash.h"
#include "format/geometry.h"
#include "pg/am/index_manifest.h"
#include "pg/am/inspect.h"
#include "pg/am/opened.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "pg/store/object_reader.h"
#include "store/cid.h"
#include "store/multibase.h"

namespace vdb::pg {
namespace {

// A chunk of S5's cipher is one of our frames.
constexpr uint8_t kFrameLog2 = 14;
static_assert(format::kFrameBytes == 1u << kFrameLog2);
constexpr char kBase64Url = 'u';  // what S5 writes encrypted CIDs in

std::string CidOf(Relation index, int32 number) {
  const MetaPage meta = Call([&] { return ReadMeta(index); });
  const std::vector<SegmentEntry> segments = ReadSegments(index, meta);
  int64_t next = 0;
  for (const SegmentEntry& segment : segments) {
    const auto objects = static_cast<int64_t>(1 + segment.chunks.size());
    const int64_t place = number - next;
    next += objects;
    if (place < 0 || place >= objects) continue;
    const ObjectEntry& object =
        place == 0 ? segment.routing : segment.chunks[static_cast<size_t>(place - 1)];
    const uint64_t stored_bytes = format::StoredBytes(object.header.plain_bytes);
    if (meta.encrypted == 0) return PlainCid(object.header.id, stored_bytes);
    IndexKeys keys(index, meta);
    Result<crypto::ObjectCipher> cipher = keys.CipherFor(object.header);
    ThrowIfError(cipher.status());
    Result<AlignedBuffer<uint8_t>> plain =
        NewObjectReader(index, meta, segment.header.segment)->ReadObject(object, keys);
    ThrowIfError(plain.status());
    store::EncryptedCid cid;
    cid.chunk_log2 = kFrameLog2;
    std::memcpy(cid.encrypted_digest.data(), object.header.id, cid.encrypted_digest.size());
    std::copy(cipher->key().begin(), cipher->key().end(), cid.key.begin());
    cid.plain = {crypto::Blake3(plain->span()), object.header.plain_bytes};
    return store::EncodeMultibase(kBase64Url, store::EncryptedCidBytes(cid));
  }
  ThrowIfError(InvalidArgument(StrCat("index \"", RelationGetRelationName(index), "\" has ", next,
                                      " objects, numbered from 0")));
  return {};
}

}  // namespace
}  // namespace vdb::pg

VDB_FUNCTION(vdb_chunk_cid) {
  using namespace vdb::pg;  // NOLINT(google-build-using-namespace): one function
  return Entry(__func__, [&]() -> Datum {
    const Oid oid = PG_GETARG_OID(0);
    const int32 number = PG_GETARG_INT32(1);
    Relation index = Call([&] { return OpenOwnedIndex(oid); });
    const std::string cid = CidOf(index, number);
    return Call([&] {
      relation_close(index, AccessShareLock);
      return CStringGetTextDatum(cid.c_str());
    });
  });
}
