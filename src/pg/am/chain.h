/// A byte string laid over a chain of pages: parameters, directory.
#pragma once

#include <cstdint>
#include <vector>

#include "pg/am/buffer.h"

namespace vdb::pg {

/// Writes bytes over new pages of that kind, last page first, so that each page knows its successor
/// when it is written and a crash leaves orphans but no broken chain. Returns the first block. At
/// least one page is written.
BlockNumber WriteChain(Relation index, ForkNumber fork, WriteMode mode, PageKind kind,
                       const uint8_t* bytes, size_t size);

/// Reads a chain from its first block. ereports XX002 on a wrong page or a cycle.
std::vector<uint8_t> ReadChain(Relation index, BlockNumber first, PageKind kind);

}  // namespace vdb::pg
