/// Which generations of which indexes are in use: the uuids on the metapages of this database's
/// indexes. A build gives its generation a new uuid and writes all its objects before it publishes
/// them, so that the uuid stands for all of them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pg/pg.h"

namespace vdb::pg {

using IndexUuid = std::array<uint8_t, 16>;

struct IndexUses {
  std::map<IndexUuid, std::string> used;  // by which index
  /// Servers of which something may be in use that could not be found out, and why; InvalidOid: any
  /// server.
  std::map<Oid, std::string> unknown;

  /// Why something of that server may be in use after all; null: it is not.
  const std::string* WhyUnknown(Oid server) const {
    if (auto any = unknown.find(InvalidOid); any != unknown.end()) return &any->second;
    auto found = unknown.find(server);
    return found == unknown.end() ? nullptr : &found->second;
  }
};

/// As of now, whatever the transaction's snapshot. Waits for no lock. Throws.
IndexUses FindIndexUses();

/// The index that keeps, or for want of rows might keep, its objects in that store; empty: none.
/// ereports.
std::string IndexThatDependsOn(Oid server);

}  // namespace vdb::pg
