/// What FileStore asks of the system, and in which order; and kill -9 before each of these calls
/// and in the middle of each write: at no moment is there half an object.
///
/// The calls are this program's own: the store, which is linked into it, finds them here first.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>

#include "unit/store_fixtures.h"

namespace vdb::store {
namespace {

namespace fs = std::filesystem;

/// Null: the calls are not looked at.
std::vector<std::string>* calls = nullptr;
std::string root;
long calls_left = -1;  // then the process dies; < 0: never

std::string Relative(const std::string& path) {
  std::string relative = path == root ? "." : path.substr(root.size() + 1);
  // Temporary names are random.
  if (const size_t at = relative.find(".tmp-"); at != std::string::npos) {
    relative.resize(at + 4);
  }
  return relative;
}
std::string PathOf(int fd) {
  return fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).string();
}
std::string PathOf(int directory, const char* name) {
  return Relative(PathOf(directory) + "/" + name);
}

/// True: the process is to die in this call.
bool Called(const std::string& call) {
  calls->push_back(call);
  return calls_left >= 0 && calls_left-- == 0;
}
void Die() { raise(SIGKILL); }

template <class Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace vdb::store

// noexcept and types as the C library declares them.
extern "C" {

int fsync(int fd) {
  using namespace vdb::store;
  if (calls != nullptr && Called("flush " + Relative(PathOf(fd)))) Die();
  return Real<int(int)>("fsync")(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  using namespace vdb::store;
  const auto real = Real<ssize_t(int, const void*, size_t)>("write");
  if (calls != nullptr && PathOf(fd).starts_with(root) && Called("write " + Relative(PathOf(fd)))) {
    real(fd, bytes, size / 2);
    Die();
  }
  return real(fd, bytes, size);
}

int mkdirat(int directory, const char* name, mode_t mode) noexcept {
  using namespace vdb::store;
  if (calls != nullptr && Called("make " + PathOf(directory, name))) Die();
  return Real<int(int, const char*, mode_t)>("mkdirat")(directory, name, mode);
}

int renameat(int from, const char* old_name, int to, const char* new_name) noexcept {
  using namespace vdb::store;
  if (calls != nullptr && Called("rename " + PathOf(from, old_name) + " " + PathOf(to, new_name)))
    Die();
  return Real<int(int, const char*, int, const char*)>("renameat")(from, old_name, to, new_name);
}

int unlinkat(int directory, const char* name, int flags) noexcept {
  using namespace vdb::store;
  if (calls != nullptr && Called("remove " + PathOf(directory, name))) Die();
  return Real<int(int, const char*, int)>("unlinkat")(directory, name, flags);
}

}  // extern "C"

namespace vdb::store {
namespace {

class FileCrashTest : public testing::Test {
 protected:
  FileCrashTest() { root = fs::canonical(directory_.path()); }

  /// The calls that `work` makes.
  static std::vector<std::string> CallsOf(const std::function<void()>& work) {
    std::vector<std::string> made;
    calls = &made;
    work();
    calls = nullptr;
    return made;
  }

  /// Does it in a process that dies in its nth call. False: it did not come to that.
  static bool DiesIn(long nth, const std::function<void()>& work) {
    std::fflush(nullptr);  // or both would write it
    const pid_t child = fork();
    if (child == 0) {
      std::vector<std::string> made;
      calls = &made;
      calls_left = nth;
      work();
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
  }

  std::vector<std::string> Listed() {
    std::vector<std::string> names;
    const auto found = [&](const ListedObject& object) {
      return names.push_back(object.name), Status();
    };
    EXPECT_TRUE(store_.List("", found, Soon()).ok());
    return names;
  }

  TemporaryDirectory directory_;
  CancelWaiter waiter_;
  FileStore store_{"archive", directory_.path(), &waiter_};
  const Bytes bytes_ = RandomBytes(1, (5 << 20) / 2);
  const ObjectRef ref_ = RefOf("a/b", bytes_);
};

TEST_F(FileCrashTest, TheFileIsFlushedBeforeItHasItsNameAndTheDirectoryAfterwards) {
  using Calls = std::vector<std::string>;
  const auto put = [&] { EXPECT_TRUE(PutOne(store_, ref_, bytes_).ok()); };
  EXPECT_EQ(CallsOf(put), (Calls{"make a", "flush .", "write a/.tmp", "write a/.tmp",
                                 "write a/.tmp", "flush a/.tmp", "rename a/.tmp a/b", "flush a"}));
  EXPECT_EQ(CallsOf(put), (Calls{"make a", "write a/.tmp", "write a/.tmp", "write a/.tmp",
                                 "flush a/.tmp", "rename a/.tmp a/b", "flush a"}));
  const auto record = [&] {
    EXPECT_TRUE(store_.WriteRecord("r", Bytes{1}, std::nullopt, Soon()).ok());
  };
  EXPECT_EQ(CallsOf(record),
            (Calls{"make .records", "flush .", "make .records", "write .records/.tmp",
                   "flush .records/.tmp", "rename .records/.tmp .records/r", "flush .records"}));
  const auto remove = [&] { EXPECT_TRUE(store_.Remove(ref_, Soon()).ok()); };
  EXPECT_EQ(CallsOf(remove), (Calls{"remove a/b", "flush a", "remove a"}));
}

TEST_F(FileCrashTest, AWriterThatDiesLeavesNothingThatIsSeen) {
  const auto put = [&] { EXPECT_TRUE(PutOne(store_, ref_, bytes_).ok()); };
  size_t without = 0, whole = 0;
  for (long nth = 0; DiesIn(nth, put); ++nth) {
    ASSERT_LT(nth, 100);
    const std::optional<uint64_t> size = store_.Stat(ref_, Soon()).value();
    if (size.has_value()) {
      ++whole;
      const Result<Bytes> found = ReadAll(store_, ref_);
      ASSERT_TRUE(found.ok()) << found.status().message();
      EXPECT_TRUE(found.value() == bytes_) << nth;
      EXPECT_EQ(Listed(), std::vector<std::string>{"a/b"});
    } else {
      ++without;
      EXPECT_EQ(ReadAll(store_, ref_).status().code(), Code::kNotFound) << nth;
      EXPECT_TRUE(Listed().empty()) << nth;
    }
    fs::remove_all(directory_.path() / "a");
  }
  EXPECT_GE(without, 7u);
  EXPECT_EQ(whole, 1u) << "only the last flush comes after the name";
}

TEST_F(FileCrashTest, AnObjectThatIsThereStaysWhole) {
  ASSERT_TRUE(PutOne(store_, ref_, bytes_).ok());
  const auto put = [&] { EXPECT_TRUE(PutOne(store_, ref_, bytes_).ok()); };
  long nth = 0;
  for (; DiesIn(nth, put); ++nth) {
    ASSERT_LT(nth, 100);
    EXPECT_TRUE(ReadAll(store_, ref_).value() == bytes_) << nth;
    EXPECT_EQ(Listed(), std::vector<std::string>{"a/b"}) << nth;
  }
  EXPECT_GE(nth, 7);
}

TEST_F(FileCrashTest, ARecordIsTheOldOneOrTheNewOne) {
  const Bytes before(64, 1), after(64, 2);
  const std::optional<std::string> first =
      store_.WriteRecord("r", before, std::nullopt, Soon()).value();
  const auto write = [&] { EXPECT_TRUE(store_.WriteRecord("r", after, first, Soon()).ok()); };
  for (long nth = 0; DiesIn(nth, write); ++nth) {
    ASSERT_LT(nth, 100);
    const std::optional<Record> record = store_.ReadRecord("r", Soon()).value();
    ASSERT_TRUE(record.has_value());
    const bool written = record->revision != *first;
    EXPECT_EQ(record->value, written ? after : before) << nth;
    if (written) return;
  }
  FAIL() << "it was never written";
}

}  // namespace
}  // namespace vdb::store
