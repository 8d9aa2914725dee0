#include "pg/pg.h"

#include "pg/store/store_states.h"

#include <new>

#include "pg/guard.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/shmem.h"
}

namespace vdb::pg {
namespace {

// More servers than this, of all databases, share the state of nobody but the session: what is lost
// is that one session's timeout spares the others theirs.
constexpr size_t kSlots = 128;

// Valid when all zeros.
struct Slot {
  std::atomic<uint64_t> owner;  // database and server; 0: free. Taken once, never given back.
  store::StoreState state;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

struct Slots {
  Slot slots[kSlots];
};

Slots* shared_slots = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

extern "C" void vdb_store_states_request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(sizeof(Slots));
}

extern "C" void vdb_store_states_startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found = false;
  void* const memory = ShmemInitStruct("vdb_ext store states", sizeof(Slots), &found);
  if (!found) memset(memory, 0, sizeof(Slots));
  shared_slots = static_cast<Slots*>(memory);
  LWLockRelease(AddinShmemInitLock);
}

Slots* TheSlots() {
  static Slots* slots = shared_slots;
  if (slots == nullptr) slots = new Slots();
  return slots;
}

uint64_t OwnerOf(Oid server) { return uint64_t{MyDatabaseId} << 32 | server; }

}  // namespace

void StoreStatesInit() {
  if (!process_shared_preload_libraries_in_progress) return;
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = vdb_store_states_request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = vdb_store_states_startup;
}

store::StoreState* StateOfStore(Oid server) {
  for (Slot& slot : TheSlots()->slots) {
    uint64_t owner = 0;
    if (slot.owner.compare_exchange_strong(owner, OwnerOf(server)) || owner == OwnerOf(server)) {
      return &slot.state;
    }
  }
  static store::StoreState& own = *new store::StoreState();
  return &own;
}

void ForEachStore(const std::function<void(Oid server, const store::StoreState& state)>& visit) {
  for (const Slot& slot : TheSlots()->slots) {
    const uint64_t owner = slot.owner.load();
    if (owner == 0) break;
    if (owner >> 32 == MyDatabaseId) visit(static_cast<Oid>(owner), slot.state);
  }
}

}  // namespace vdb::pg
