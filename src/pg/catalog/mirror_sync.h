/// Brings the mirror (mirror.h) in line with the pages of all indexes.
#pragma once

#include <span>

#include "pg/pg.h"

namespace vdb::pg {

/// An index that another session has locked is left as it is, and so is one that cannot be read, or
/// is in `dropped`: it may still be seen. What indexes depend on is mended, too (MendDependency).
/// False: one of `awaited` is locked, or one that is to be mended; where one of `awaited` has gone,
/// any.
///
/// In a transaction of a worker: it holds the mirror's lock, and a share lock on each index whose
/// rows have changed, until it ends. Throws.
bool SyncMirror(std::span<const Oid> awaited, std::span<const Oid> dropped);

}  // namespace vdb::pg
