#include "store/waiter.h"

#include <cerrno>
#include <cstring>
#include <poll.h>

#include "base/strcat.h"

namespace vdb::store {

Status PollWaiter::Wait(int fd, int timeout_ms, WaitFor /*what*/) {
  // A negative descriptor is one that poll() skips.
  pollfd wanted = {fd, POLLIN, 0};
  if (poll(&wanted, 1, timeout_ms) < 0 && errno != EINTR) {
    return Internal(StrCat("could not wait for a descriptor: ", std::strerror(errno)));
  }
  return {};
}

}  // namespace vdb::store
