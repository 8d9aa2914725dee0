/// Small helpers over the buffer manager. All of them may ereport: call them inside pg::Call where
/// a C++ object with a destructor is alive.
#pragma once

#include "pg/am/page.h"

namespace vdb::pg {

/// A new page at the end of the relation's fork, pinned and exclusively locked, not initialised.
Buffer NewBuffer(Relation index, ForkNumber fork, BufferAccessStrategy strategy);

/// Reads and share-locks a page of that kind and segment; XX002 when it is another, or beyond the
/// relation's end. Asking for the relation's size is a system call: a caller with many pages to
/// read keeps `known_blocks` (0 at first) and pays for it once.
Buffer ReadPage(Relation index, BlockNumber block, PageKind kind, uint32_t segment,
                BufferAccessStrategy strategy, BlockNumber* known_blocks = nullptr);

/// XX002 when a chain has had more pages than the relation: it runs in a circle.
void CheckChainLength(Relation index, BlockNumber block, BlockNumber pages,
                      BlockNumber known_blocks);

/// How pages of a new structure are written.
enum class WriteMode {
  kBuild,   // dirty buffers; the build logs the whole relation at its end
  kLogged,  // each page a full image in generic WAL
};

/// Calls fill(page) on a new page of that kind; fill puts payload there. Returns its block.
template <class Fill>
BlockNumber AppendPage(Relation index, ForkNumber fork, WriteMode mode, PageKind kind,
                       uint32_t segment, Fill&& fill) {
  Buffer buffer = NewBuffer(index, fork, nullptr);
  if (mode == WriteMode::kLogged) {
    GenericXLogState* state = GenericXLogStart(index);
    Page page = GenericXLogRegisterBuffer(state, buffer, GENERIC_XLOG_FULL_IMAGE);
    InitPage(page, kind, segment);
    fill(page);
    GenericXLogFinish(state);
  } else {
    Page page = BufferGetPage(buffer);
    InitPage(page, kind, segment);
    fill(page);
    MarkBufferDirty(buffer);
  }
  const BlockNumber block = BufferGetBlockNumber(buffer);
  UnlockReleaseBuffer(buffer);
  return block;
}

}  // namespace vdb::pg
