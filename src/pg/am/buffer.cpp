#include "pg/am/buffer.h"

#include "pg/compat.h"

namespace vdb::pg {

Buffer NewBuffer(Relation index, ForkNumber fork, BufferAccessStrategy strategy) {
  return compat::ExtendByOne(index, fork, strategy);
}

Buffer ReadPage(Relation index, BlockNumber block, PageKind kind, uint32_t segment,
                BufferAccessStrategy strategy, BlockNumber* known_blocks) {
  if (known_blocks == nullptr || block >= *known_blocks) {
    const BlockNumber blocks = RelationGetNumberOfBlocks(index);
    if (block >= blocks) {
      ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                      errmsg("index \"%s\" is truncated: block %u is missing",
                             RelationGetRelationName(index), block),
                      errhint("REINDEX the index.")));
    }
    if (known_blocks != nullptr) *known_blocks = blocks;
  }
  Buffer buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  CheckPage(index, buffer, kind, segment);
  return buffer;
}

void CheckChainLength(Relation index, BlockNumber block, BlockNumber pages,
                      BlockNumber known_blocks) {
  if (pages <= known_blocks) return;
  ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                  errmsg("index \"%s\" has a cycle in its pages at block %u",
                         RelationGetRelationName(index), block),
                  errhint("REINDEX the index.")));
}

}  // namespace vdb::pg
