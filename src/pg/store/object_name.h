/// What an object of an index is called in a remote store.
#pragma once

#include <string>
#include <string_view>

#include "pg/am/directory.h"
#include "pg/am/meta.h"
#include "store/object_store.h"

namespace vdb::pg {

/// `<incarnation>/`: what the names of a cluster's objects begin with.
std::string IncarnationPrefix(uint64_t incarnation);

/// `<incarnation>/<database>/`: what the names of a database's objects begin with.
std::string ObjectPrefix(uint64_t incarnation, Oid database);
/// The same where only palloc may allocate.
void WriteObjectPrefix(uint64_t incarnation, Oid database, char (&prefix)[64]);

/// The prefix of a name that RemoteObject has made, as part of it; empty: it was made by nobody
/// here.
std::string_view PrefixOfName(std::string_view name);

/// The database of such a prefix or name; InvalidOid: it says none.
Oid DatabaseOfName(std::string_view name);

/// The object of the index that `meta` describes: `<incarnation>/<database>/<index uuid>/<id>.bin`,
/// in hexadecimal but for the database's oid. The incarnation is that of the cluster which built
/// it. (`.bin`: some gateways rewrite what they take for text.)
store::ObjectRef RemoteObject(const MetaPage& meta, const ObjectHeader& object);

/// Its manifest `.../manifest-<generation>.json`, where people look for it; `.bin` in a store that
/// does not keep names of JSON.
store::ObjectRef RemoteManifest(const MetaPage& meta, const ManifestRef& manifest, bool json_names);

}  // namespace vdb::pg
