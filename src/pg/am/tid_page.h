/// kTids pages: which heap row each slot of a segment is, and which slots are dead. Format version
/// 1.
///
/// The payload of a page is 41 blocks of 32 slots, in slot order, each 196 bytes: 32 TIDs, then a
/// mask of the dead ones. A chunk has a run of TID pages of its own, which begins with the chunk's
/// first slot. Slots that only pad a list to a multiple of 32 hold an invalid TID and are never
/// dead.
#pragma once

#include "pg/am/page.h"

namespace vdb::pg {

inline constexpr uint32_t kTidBlockSlots = 32;

struct TidBlock {
  ItemPointerData tids[kTidBlockSlots];
  // A uint32 at a multiple of 2 only: see DeadMask and SetDeadMask.
  uint8_t dead[4];

  uint32_t DeadMask() const {
    uint32_t mask;
    memcpy(&mask, dead, sizeof(mask));
    return mask;
  }
  void SetDeadMask(uint32_t mask) { memcpy(dead, &mask, sizeof(mask)); }
  /// The lanes that hold a row, dead or not.
  uint32_t RowMask() const {
    uint32_t mask = 0;
    for (uint32_t lane = 0; lane < kTidBlockSlots; ++lane) {
      if (ItemPointerIsValid(&tids[lane])) mask |= 1u << lane;
    }
    return mask;
  }
};
static_assert(sizeof(TidBlock) == 196);

inline constexpr uint32_t kTidBlocksPerPage = kPagePayload / sizeof(TidBlock);
inline constexpr uint32_t kTidSlotsPerPage = kTidBlocksPerPage * kTidBlockSlots;
static_assert(BLCKSZ != 8192 || kTidBlocksPerPage == 41);

/// Where a slot is in the run of TID pages of its chunk.
struct TidPlace {
  uint32_t page;   // of the run
  uint32_t block;  // in the page
  uint32_t lane;   // in the block
};

/// slot counts from the chunk's first one.
inline constexpr TidPlace PlaceOfSlot(uint32_t slot) {
  return {slot / kTidSlotsPerPage, slot / kTidBlockSlots % kTidBlocksPerPage,
          slot % kTidBlockSlots};
}

/// TID pages of a chunk of n_slots slots (a multiple of 32).
inline constexpr uint32_t TidPages(uint32_t n_slots) {
  return (n_slots + kTidSlotsPerPage - 1) / kTidSlotsPerPage;
}

/// Blocks on page `page` of the run of a chunk of n_slots slots.
inline constexpr uint32_t TidBlocksOnPage(uint32_t n_slots, uint32_t page) {
  const uint32_t blocks = n_slots / kTidBlockSlots - page * kTidBlocksPerPage;
  return blocks < kTidBlocksPerPage ? blocks : kTidBlocksPerPage;
}

/// The blocks of a kTids page.
inline TidBlock* TidBlocksOf(Page page) { return reinterpret_cast<TidBlock*>(PayloadOf(page)); }

}  // namespace vdb::pg
