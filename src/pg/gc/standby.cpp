#include "pg/pg.h"

#include "pg/gc/standby.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/strcat.h"
#include "pg/guard.h"

extern "C" {
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
}

namespace vdb::pg {
namespace {

struct Slot {
  char name[NAMEDATALEN];
  bool logical;
  pid_t active;
  XLogRecPtr restart;
};

std::vector<Slot> ReadSlots() {
  std::vector<Slot> slots;
  if (max_replication_slots <= 0) return slots;
  slots.reserve(static_cast<size_t>(max_replication_slots));
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; i++) {
    ReplicationSlot* const slot = &ReplicationSlotCtl->replication_slots[i];
    if (!slot->in_use) continue;
    Slot copy = {};
    SpinLockAcquire(&slot->mutex);
    strlcpy(copy.name, NameStr(slot->data.name), sizeof(copy.name));
    copy.logical = OidIsValid(slot->data.database);
    copy.active = slot->active_pid;
    copy.restart = slot->data.restart_lsn;
    SpinLockRelease(&slot->mutex);
    slots.push_back(copy);
  }
  LWLockRelease(ReplicationSlotControlLock);
  return slots;
}

}  // namespace

StandbyPosition FarthestBehind() {
  StandbyPosition behind;
  const auto consider = [&](XLogRecPtr lsn, const std::string& who) {
    if (lsn < behind.lsn) behind = {lsn, who};
  };
  // Before the senders: one that has gone since has left its slot to be considered.
  const std::vector<Slot> slots = ReadSlots();
  std::set<pid_t> streaming;
  for (int i = 0; i < max_wal_senders; i++) {
    WalSnd* const sender = &WalSndCtl->walsnds[i];
    SpinLockAcquire(&sender->mutex);
    const pid_t pid = sender->pid;
    const WalSndState state = sender->state;
    const XLogRecPtr received = sender->write;
    const XLogRecPtr replayed = sender->apply;
    SpinLockRelease(&sender->mutex);
    // Backups need no index, and who has not begun to stream is as good as away.
    if (pid == 0 || state < WALSNDSTATE_CATCHUP) continue;
    streaming.insert(pid);
    // Subscribers have no indexes of ours.
    if (std::any_of(slots.begin(), slots.end(),
                    [&](const Slot& slot) { return slot.logical && slot.active == pid; })) {
      continue;
    }
    if (replayed != InvalidXLogRecPtr) {
      consider(replayed, StrCat("the standby of WAL sender ", pid));
    } else if (received == InvalidXLogRecPtr) {
      // Its slot, if it has one, says what it had received before, and not what it had replayed.
      consider(replayed, StrCat("WAL sender ", pid, "'s standby, which has not reported yet,"));
    }
    // Else an archiver, which replays nothing.
  }
  for (const Slot& slot : slots) {
    // One that has never been used needs nothing; of one that is streamed to, the sender has said.
    if (slot.logical || slot.restart == InvalidXLogRecPtr || streaming.contains(slot.active)) {
      continue;
    }
    // What its standby has received it may not have replayed, when it was last heard of.
    consider(InvalidXLogRecPtr, StrCat("the standby of replication slot \"", slot.name,
                                       "\", which is not connected,"));
  }
  return behind;
}

}  // namespace vdb::pg
