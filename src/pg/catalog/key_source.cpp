#include "pg/pg.h"

#include "pg/catalog/key_source.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/strcat.h"
#include "crypto/key_ring.h"
#include "crypto/secret.h"
#include "pg/guard.h"
#include "pg/wait_event.h"

extern "C" {
#include "storage/fd.h"
#include "storage/latch.h"
}

extern char** environ;

namespace vdb::pg {
namespace {

constexpr long kCommandTimeoutMs = 30000;
// Between looks at a command that has closed its output and not ended.
constexpr long kExitPollMs = 10;

/// Text of unknown length in memory that does not move and is wiped.
class SecretText {
 public:
  SecretText() = default;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { crypto::Wipe(bytes_); }

  /// read(2) into what is free: as read.
  ssize_t ReadFrom(int fd) {
    const ssize_t n = read(fd, bytes_.data() + size_, bytes_.size() - size_);
    if (n > 0) size_ += static_cast<size_t>(n);
    return n;
  }
  bool full() const { return size_ == bytes_.size(); }
  std::string str() const { return {reinterpret_cast<const char*>(bytes_.data()), size_}; }

 private:
  std::array<uint8_t, crypto::kMaxKeyRingTextBytes + 1> bytes_;
  size_t size_ = 0;
};

/// A file descriptor that PostgreSQL's count of them knows.
class ExternalFd {
 public:
  explicit ExternalFd(int fd) : fd_(fd) {}
  ExternalFd(const ExternalFd&) = delete;
  ExternalFd& operator=(const ExternalFd&) = delete;
  ~ExternalFd() {
    Close();
    if (counted_) ReleaseExternalFD();
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  /// False: too many are open.
  bool Count() {
    counted_ = Call([] { return AcquireExternalFD(); });
    return counted_;
  }
  int get() const { return fd_; }

 private:
  int fd_;
  bool counted_ = false;
};

// The running command's process group, for the exit callback: FATAL unwinds nothing.
pid_t running_group = 0;

void KillRunningCommand(int, Datum) {
  if (running_group > 0) kill(-running_group, SIGKILL);
}

/// A child process in a process group of its own, killed and reaped at the latest by the
/// destructor.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) { running_group = pid; }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!reaped_) Reap();
  }
  /// Whether it has ended; its status is then known.
  bool Ended() {
    siginfo_t info = {};
    if (!reaped_ &&
        waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid_)
      Reap();
    return reaped_;
  }
  int status() const { return status_; }

 private:
  void Reap() {
    // While the number is still its own; with what it left running, which might hold a key.
    kill(-pid_, SIGKILL);
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    running_group = 0;
  }

  const pid_t pid_;
  bool reaped_ = false;
  int status_ = 0;
};

/// Starts `/bin/sh -c command` with its output on `output`, no input, the server's standard error
/// and no other file. Returns an errno.
int Spawn(const char* command, int output, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const char* const arguments[] = {"sh", "-c", command, nullptr};
  const int error = posix_spawn(pid, "/bin/sh", &actions, &attributes,
                                const_cast<char* const*>(arguments), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

long MillisecondsSince(TimestampTz start) {
  return TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
}

/// Sleeps until `fd` (none: < 0) has something, the latch was set, or the time is over.
void Wait(int fd, long timeout_ms) {
  Call([&] {
    int events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
    if (fd >= 0) events |= WL_SOCKET_READABLE;
    WaitLatchOrSocket(MyLatch, events, fd, timeout_ms, EventId(WaitEvent::kKeyCommand));
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

Status CommandError(std::string detail) {
  return Status(Code::kUnavailable, "could not get the master keys from \"vdb.master_key_command\"")
      .WithDetail(std::move(detail))
      .WithHint(
          "The command must print the keys and exit with 0. What it writes to standard error "
          "is in the server log.");
}

/// Reads all output of the command, then waits for its end.
Status Collect(int fd, Child* child, SecretText* text) {
  const TimestampTz start = GetCurrentTimestamp();
  bool open = true;
  while (open || !child->Ended()) {
    const long left_ms = kCommandTimeoutMs - MillisecondsSince(start);
    if (left_ms <= 0)
      return CommandError(StrCat("It took longer than ", kCommandTimeoutMs / 1000, " s."));
    Wait(open ? fd : -1, open ? left_ms : std::min(left_ms, kExitPollMs));
    while (open) {
      const ssize_t n = text->ReadFrom(fd);
      if (text->full())
        return CommandError(
            StrCat("It printed more than ", crypto::kMaxKeyRingTextBytes, " bytes."));
      if (n > 0 || (n < 0 && errno == EINTR)) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      open = false;
    }
  }
  return {};
}

constexpr const char* kFileAccessHint =
    "Its permissions must be u=rw (0600) or less if the database user owns it, or u=rw,g=r (0640) "
    "or less if root does.";

/// Who may own the file of master keys, and who else may touch it: as for ssl_key_file. Null: it is
/// in order.
const char* FileAccessFault(const struct stat& info) {
  if (info.st_uid != geteuid() && info.st_uid != 0)
    return "It is owned neither by the database user nor by root.";
  const mode_t forbidden =
      info.st_uid == geteuid() ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO;
  return (info.st_mode & forbidden) != 0 ? "It is accessible to its group or to everyone."
                                         : nullptr;
}

}  // namespace

Result<std::string> RunKeyCommand(const char* command) {
  static const bool registered = [] {
    Call([] { on_proc_exit(KillRunningCommand, 0); });
    return true;
  }();
  (void)registered;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return CommandError(StrCat("Could not make a pipe: ", std::strerror(errno), "."));
  ExternalFd input(ends[0]);
  ExternalFd output(ends[1]);
  if (!input.Count()) return CommandError("Too many files are open.");
  // The command's own writes wait, as commands expect.
  fcntl(output.get(), F_SETFL, 0);
  pid_t pid = 0;
  if (const int error = Spawn(command, output.get(), &pid); error != 0)
    return CommandError(StrCat("Could not start it: ", std::strerror(error), "."));
  Child child(pid);
  output.Close();  // else the end of the output would never be seen
  SecretText text;
  VDB_RETURN_IF_ERROR(Collect(input.get(), &child, &text));
  if (child.status() != 0) {
    const char* const reason = Call([&] { return wait_result_to_str(child.status()); });
    return CommandError(StrCat("It failed: ", reason, "."));
  }
  return text.str();
}

Result<std::string> ReadKeyFile(const char* path) {
  constexpr const char* kWhat = "could not read the master keys from \"vdb.master_key_file\"";
  // Not blocking: a named pipe must not hang the backend before it is refused.
  const ExternalFd file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (file.get() < 0 || fstat(file.get(), &info) != 0)
    return Status(Code::kNotFound, kWhat).WithDetail(StrCat(std::strerror(errno), "."));
  if (!S_ISREG(info.st_mode)) return InvalidArgument(kWhat).WithDetail("It is no regular file.");
  if (const char* const fault = FileAccessFault(info))
    return Status(Code::kConfiguration, kWhat).WithDetail(fault).WithHint(kFileAccessHint);
  SecretText text;
  ssize_t n;
  do {
    n = text.ReadFrom(file.get());
    if (text.full())
      return InvalidArgument(kWhat).WithDetail(
          StrCat("It has more than ", crypto::kMaxKeyRingTextBytes, " bytes."));
  } while (n > 0 || (n < 0 && errno == EINTR));
  if (n < 0) return Status(Code::kNotFound, kWhat).WithDetail(StrCat(std::strerror(errno), "."));
  return text.str();
}

}  // namespace vdb::pg
