/// The manifest (format/manifest.h) as an index's pages give it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/manifest.h"
#include "pg/am/directory.h"
#include "pg/am/meta.h"

namespace vdb::pg {

/// The CID of stored bytes: it says where they are and what they hash to, and holds no key.
std::string PlainCid(const uint8_t (&id)[32], uint64_t stored_bytes);

/// What is published with those segments, of which there is at least one. Throws 0A000 for more
/// than one: a manifest of version 2 has one numbering of lists.
format::Manifest IndexManifest(const MetaPage& meta, const std::vector<SegmentEntry>& segments);

/// The same as text: for the same pages always the same. Throws.
std::string ManifestText(const MetaPage& meta, const std::vector<SegmentEntry>& segments);

}  // namespace vdb::pg
