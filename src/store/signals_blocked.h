/// SignalsBlocked: no signal is delivered to this thread while it lives.
///
/// For the time that curl works. Curl looks names up in a thread of its own, which inherits the
/// mask: without it a signal meant for this thread's handlers could be handled by that one. A
/// SIGPIPE that a broken TLS connection raises meanwhile is taken away.
#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>

namespace vdb::store {

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all, pending;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
    sigpending(&pending);
    pipe_was_pending_ = sigismember(&pending, SIGPIPE) == 1;
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() {
    if (!pipe_was_pending_) {
      sigset_t pipe_only;
      sigemptyset(&pipe_only);
      sigaddset(&pipe_only, SIGPIPE);
      const timespec now = {0, 0};
      while (sigtimedwait(&pipe_only, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_;
  bool pipe_was_pending_;
};

}  // namespace vdb::store
