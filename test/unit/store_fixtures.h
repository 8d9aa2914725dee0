/// Stores for the conformance suite, each in surroundings of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "crypto/hash.h"
#include "store/fault_store.h"
#include "store/file_store.h"
#include "store/memory_store.h"

namespace vdb::store {

using Bytes = std::vector<uint8_t>;

inline Bytes RandomBytes(uint64_t seed, size_t size) {
  SplitMix64 random(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

inline ObjectRef RefOf(std::string name, const Bytes& bytes) {
  return {crypto::Blake3(bytes), bytes.size(), std::move(name)};
}

inline Deadline Soon() { return Deadline::After(10'000); }

/// Waits with poll() until it is told to cancel.
class CancelWaiter : public PollWaiter {
 public:
  bool cancelled = false;
  uint64_t waits = 0;
  std::map<WaitFor, uint64_t> waits_for;
  Status Wait(int fd, int timeout_ms, WaitFor what) override {
    ++waits;
    ++waits_for[what];
    if (cancelled) return {Code::kCancelled, "cancelled"};
    return PollWaiter::Wait(fd, timeout_ms, what);
  }
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "vdb_store_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A store and what it stands on.
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual ObjectStore& store() = 0;
  CancelWaiter waiter;
};

class MemoryFixture : public StoreFixture {
 public:
  ObjectStore& store() override { return store_; }

 private:
  MemoryStore store_{"memory"};
};

class FileFixture : public StoreFixture {
 public:
  ObjectStore& store() override { return store_; }

 private:
  TemporaryDirectory directory_;
  FileStore store_{"directory", directory_.path(), &waiter};
};

/// Without a fault it is the store beneath.
class FaultFixture : public StoreFixture {
 public:
  ObjectStore& store() override { return store_; }

 private:
  MemoryStore beneath_{"faulty"};
  FaultStore store_{&beneath_, &waiter};
};

struct StoreCase {
  const char* name;
  std::function<std::unique_ptr<StoreFixture>()> make;
};

/// Counts the ranges, and answers as told.
class CountingSink : public RangeSink {
 public:
  std::vector<int> done;
  std::function<Status(size_t)> answer;
  explicit CountingSink(size_t ranges) : done(ranges) {}
  Status Done(size_t index) override {
    ++done.at(index);
    return answer ? answer(index) : Status();
  }
};

inline Status PutOne(ObjectStore& store, const ObjectRef& ref, const Bytes& bytes) {
  const std::unique_ptr<Uploads> uploads = store.NewUploads({});
  VDB_RETURN_IF_ERROR(uploads->Add(ref, bytes));
  return uploads->Finish();
}

/// All bytes of an object.
inline Result<Bytes> ReadAll(ObjectStore& store, const ObjectRef& ref) {
  Bytes bytes(ref.size);
  VDB_RETURN_IF_ERROR(GetRange(store, {&ref, 0, bytes}, Soon()));
  return bytes;
}

}  // namespace vdb::store
