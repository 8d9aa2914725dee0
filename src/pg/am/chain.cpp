#include "pg/am/chain.h"

#include <algorithm>

#include "pg/guard.h"

namespace vdb::pg {

BlockNumber WriteChain(Relation index, ForkNumber fork, WriteMode mode, PageKind kind,
                       const uint8_t* bytes, size_t size) {
  const size_t pages = std::max<size_t>(1, (size + kPagePayload - 1) / kPagePayload);
  BlockNumber next = InvalidBlockNumber;
  for (size_t i = pages; i-- > 0;) {
    const uint8_t* begin = bytes + i * kPagePayload;
    const size_t length = std::min(size - i * kPagePayload, kPagePayload);
    next = AppendPage(index, fork, mode, kind, 0, [&](Page page) {
      if (length > 0) std::memcpy(PayloadOf(page), begin, length);
      SetPayloadUsed(page, length);
      SpecialOf(page)->next = next;
    });
  }
  return next;
}

std::vector<uint8_t> ReadChain(Relation index, BlockNumber first, PageKind kind) {
  std::vector<uint8_t> bytes;
  BlockNumber left = Call([&] { return RelationGetNumberOfBlocks(index); });
  char page_copy[kPagePayload];
  for (BlockNumber block = first; block != InvalidBlockNumber;) {
    size_t used = 0;
    BlockNumber next = InvalidBlockNumber;
    Call([&] {
      if (left-- == 0) {
        ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                        errmsg("index \"%s\" has a cycle in its pages at block %u",
                               RelationGetRelationName(index), block),
                        errhint("REINDEX the index.")));
      }
      Buffer buffer = ReadPage(index, block, kind, 0, nullptr);
      Page page = BufferGetPage(buffer);
      used = PayloadUsed(page);
      std::memcpy(page_copy, PayloadOf(page), used);
      next = SpecialOf(page)->next;
      UnlockReleaseBuffer(buffer);
    });
    bytes.insert(bytes.end(), page_copy, page_copy + used);
    block = next;
  }
  return bytes;
}

}  // namespace vdb::pg
