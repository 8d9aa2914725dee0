#include "store/file_store.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "unit/store_fixtures.h"

namespace vdb::store {
namespace {

namespace fs = std::filesystem;

class FileStoreTest : public testing::Test {
 protected:
  /// Every file below the directory, whatever it is called.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path()))
      files.push_back(fs::relative(entry.path(), directory_.path()));
    std::sort(files.begin(), files.end());
    return files;
  }

  TemporaryDirectory directory_;
  CancelWaiter waiter_;
  FileStore store_{"archive", directory_.path(), &waiter_};
  const Bytes bytes_ = RandomBytes(1, 100'000);
};

TEST_F(FileStoreTest, AnObjectIsTheFileOfItsName) {
  ASSERT_TRUE(PutOne(store_, RefOf("a/b", bytes_), bytes_).ok());
  EXPECT_EQ(Files(), (std::vector<std::string>{"a", "a/b"}));
  std::ifstream file(directory_.path() / "a/b", std::ios::binary);
  const Bytes content(std::istreambuf_iterator<char>(file), {});
  EXPECT_TRUE(content == bytes_);
  struct stat about;
  ASSERT_EQ(stat((directory_.path() / "a/b").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(FileStoreTest, RemovingTheLastObjectRemovesItsDirectories) {
  const ObjectRef ref = RefOf("a/b/c", bytes_);
  ASSERT_TRUE(PutOne(store_, ref, bytes_).ok());
  EXPECT_EQ(store_.Remove(ref, Soon()).value(), Removal::kRemoved);
  EXPECT_TRUE(Files().empty());
}

TEST_F(FileStoreTest, ADiskThatIsFullLeavesNoRest) {
  // A limit on the size of files fails writes the way a full disk does: in the middle.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {50'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = PutOne(store_, RefOf("full", bytes_), bytes_);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), Code::kDiskFull);
  EXPECT_NE(status.message().find("store \"archive\", object \"full\""), std::string::npos)
      << status.message();
  EXPECT_TRUE(Files().empty());
}

TEST_F(FileStoreTest, ACancelledUploadLeavesNoRest) {
  class CancelLater : public PollWaiter {
   public:
    int left = 0;
    Status Wait(int fd, int timeout_ms, WaitFor what) override {
      if (left-- == 0) return {Code::kCancelled, "cancelled"};
      return PollWaiter::Wait(fd, timeout_ms, what);
    }
  };
  const Bytes large = RandomBytes(2, 5 << 20);
  const ObjectRef ref = RefOf("large", large);
  bool done = false;
  for (int n = 0; !done; ++n) {
    ASSERT_LT(n, 100);
    CancelLater later;
    later.left = n;
    FileStore store("archive", directory_.path(), &later);
    const Status status = PutOne(store, ref, large);
    done = status.ok();
    if (!done) {
      EXPECT_EQ(status.code(), Code::kCancelled);
      EXPECT_TRUE(Files().empty());
    }
  }
  EXPECT_TRUE(ReadAll(store_, ref).value() == large);
}

TEST_F(FileStoreTest, NamesDoNotLeadOut) {
  for (const char* name : {"../x", "a/../../x", "/etc/passwd", ".records/owner", ""}) {
    const ObjectRef ref = RefOf(name, bytes_);
    EXPECT_EQ(PutOne(store_, ref, bytes_).code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(ReadAll(store_, ref).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_.Stat(ref, Soon()).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_.Remove(ref, Soon()).status().code(), Code::kInvalidArgument) << name;
  }
}

TEST_F(FileStoreTest, SymbolicLinksAreNotFollowed) {
  TemporaryDirectory outside;
  std::ofstream(outside.path() / "secret") << "0123456789";
  fs::create_directory_symlink(outside.path(), directory_.path() / "link");
  fs::create_symlink(outside.path() / "secret", directory_.path() / "file");
  for (const char* name : {"link/secret", "file"}) {
    ObjectRef ref = RefOf(name, bytes_);
    ref.size = 10;
    EXPECT_EQ(ReadAll(store_, ref).status().code(), Code::kPermission) << name;
  }
  EXPECT_EQ(PutOne(store_, RefOf("link/new", bytes_), bytes_).code(), Code::kPermission);
  EXPECT_FALSE(fs::exists(outside.path() / "new"));
  int listed = 0;
  EXPECT_TRUE(store_
                  .List(
                      "", [&](const ListedObject&) { return ++listed, Status(); }, Soon())
                  .ok());
  EXPECT_EQ(listed, 0);
}

TEST_F(FileStoreTest, AMissingDirectoryIsAStoreThatIsAway) {
  FileStore away("away", directory_.path() / "not-mounted", &waiter_);
  const ObjectRef ref = RefOf("o", bytes_);
  EXPECT_EQ(ReadAll(away, ref).status().code(), Code::kUnavailable);
  EXPECT_EQ(PutOne(away, ref, bytes_).code(), Code::kUnavailable);
  EXPECT_EQ(away.Stat(ref, Soon()).status().code(), Code::kUnavailable);
  EXPECT_EQ(away.Remove(ref, Soon()).status().code(), Code::kUnavailable);
  EXPECT_EQ(away.ReadRecord("r", Soon()).status().code(), Code::kUnavailable);
  EXPECT_TRUE(Files().empty());
}

TEST_F(FileStoreTest, ATruncatedFileIsCorruption) {
  const ObjectRef ref = RefOf("o", bytes_);
  ASSERT_TRUE(PutOne(store_, ref, bytes_).ok());
  fs::resize_file(directory_.path() / "o", 99'999);
  EXPECT_EQ(ReadAll(store_, ref).status().code(), Code::kCorruption);
}

TEST_F(FileStoreTest, ListRemovesOldTemporaryFiles) {
  fs::create_directory(directory_.path() / "a");
  const fs::path old_one = directory_.path() / "a/.tmp-0123456789abcdef";
  const fs::path new_one = directory_.path() / ".tmp-fedcba9876543210";
  std::ofstream(old_one) << "x";
  std::ofstream(new_one) << "x";
  fs::last_write_time(old_one, fs::file_time_type::clock::now() - std::chrono::hours(48));
  const auto none = [](const ListedObject&) { return Internal("not an object"); };
  EXPECT_TRUE(store_.List("", none, Soon()).ok());
  EXPECT_FALSE(fs::exists(old_one));
  EXPECT_TRUE(fs::exists(new_one));
}

TEST_F(FileStoreTest, RecordsWaitForTheLock) {
  ASSERT_TRUE(store_.WriteRecord("r", Bytes{1}, std::nullopt, Soon()).ok());
  const Descriptor lock(open((directory_.path() / ".records/.lock").c_str(), O_RDWR));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  const auto blocked = store_.WriteRecord("r", Bytes{2}, "1", Deadline::After(30));
  EXPECT_EQ(blocked.status().code(), Code::kUnavailable);
  ASSERT_EQ(flock(lock.get(), LOCK_UN), 0);
  EXPECT_TRUE(store_.WriteRecord("r", Bytes{2}, "1", Soon()).value().has_value());
}

}  // namespace
}  // namespace vdb::store
