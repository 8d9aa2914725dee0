/// Searches of an index in a store that does wrong: the right rows with their distances, or an
/// error that says what is the matter; never a wrong row. Faults of every kind of store by
/// FaultStore, damage of what is stored by hand, faults of HTTP by a server in this process.
#include <gtest/gtest.h>

#include "stored_index.h"
#include "store_s5_server.h"

namespace vdb::engine {
namespace {

using store::Fault;
using store::FaultStore;
using store::MemoryStore;
using store::Operation;
using store::ServerReply;
using store::ServerRequest;
using testing::ColdSearch;
using testing::Found;
using testing::StoredIndex;

constexpr size_t kRows = 12'000, kQueries = 6;
constexpr uint32_t kDim = 64;
constexpr uint64_t kSeed = 20261123;
constexpr int kShortMs = 400;  // for what would never end

class StoreFaults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    index_ = new StoredIndex(testing::Clustered(kRows, kDim, 40, kSeed), "new");
    ASSERT_GE(index_->index().n_objects(), 3u);
    queries_ = new testing::Matrix(testing::Clustered(kQueries, kDim, 40, kSeed + 1));
    MemoryStore sound("sound");
    ASSERT_TRUE(index_->Upload(sound).ok());
    right_ = new std::vector<Found>;
    index::Searcher searcher(index_->index().space(), index_->index().layout());
    for (size_t q = 0; q < kQueries; ++q) {
      Result<Found> found = ColdSearch(*index_, sound, queries_->row(q));
      ASSERT_TRUE(found.ok()) << found.status().message();
      ASSERT_EQ(found.value().size(), 10u);
      std::vector<MemoryIndex::Hit> hits;
      ASSERT_TRUE(index_->index().Search(&searcher, queries_->row(q), 10, {}, &hits).ok());
      for (size_t i = 0; i < 10; ++i) ASSERT_EQ(found.value()[i].first, hits[i].row);
      right_->push_back(std::move(found).value());
    }
  }
  static void TearDownTestSuite() {
    delete right_;
    delete queries_;
    delete index_;
  }

  StoreFaults() { EXPECT_TRUE(index_->Upload(memory_).ok()); }

  /// kOk: the right rows. Otherwise an error with that code, which names store or object.
  static Code Search(store::ObjectStore& store, size_t query, int timeout_ms = 10'000) {
    const Result<Found> found = ColdSearch(*index_, store, queries_->row(query), timeout_ms);
    if (found.ok()) {
      EXPECT_EQ(found.value(), (*right_)[query]) << "query " << query;
    } else {
      EXPECT_NE(found.status().message().find("store \"" + store.name() + "\""), std::string::npos)
          << found.status().message();
    }
    return found.status().code();
  }
  /// All queries; how many end in an error.
  static size_t Failures(store::ObjectStore& store) {
    size_t failures = 0;
    for (size_t q = 0; q < kQueries; ++q) failures += Search(store, q) != Code::kOk;
    return failures;
  }

  static StoredIndex* index_;
  static testing::Matrix* queries_;
  static std::vector<Found>* right_;
  store::CancelWaiter waiter_;
  MemoryStore memory_{"archive"};
  FaultStore faulty_{&memory_, &waiter_};
};
StoredIndex* StoreFaults::index_;
testing::Matrix* StoreFaults::queries_;
std::vector<Found>* StoreFaults::right_;

// At each of the first ranges once, and from it on for good.
TEST_F(StoreFaults, EachFaultAtEachRange) {
  const struct {
    Fault fault;
    Code once, for_good;
  } cases[] = {
      {Fault::kNoSuchHost, Code::kUnavailable, Code::kUnavailable},
      {Fault::kConnectionLimit, Code::kUnavailable, Code::kUnavailable},
      {Fault::kExpiredCertificate, Code::kUnavailable, Code::kUnavailable},
      {Fault::kReset, Code::kUnavailable, Code::kUnavailable},
      {Fault::kStall, Code::kUnavailable, Code::kUnavailable},
      {Fault::kUnauthorized, Code::kPermission, Code::kPermission},
      {Fault::kMissing, Code::kNotFound, Code::kNotFound},
      {Fault::kBusy, Code::kUnavailable, Code::kUnavailable},
      {Fault::kTooLarge, Code::kUnsupported, Code::kUnsupported},
      {Fault::kDiskFull, Code::kDiskFull, Code::kDiskFull},
      {Fault::kSlow, Code::kOk, Code::kOk},
      // Fetched once more.
      {Fault::kFlippedBit, Code::kOk, Code::kCorruption},
      {Fault::kOtherBytes, Code::kOk, Code::kCorruption},
  };
  faulty_.set_slow_ms(1);
  for (const auto& one : cases) {
    SCOPED_TRACE("fault " + std::to_string(static_cast<int>(one.fault)));
    for (const uint64_t range : {1, 2, 4, 7}) {
      for (const bool for_good : {false, true}) {
        faulty_.Clear();
        faulty_.Add({one.fault, Operation::kRange, range, for_good ? UINT64_MAX : 1});
        const int timeout_ms = one.fault == Fault::kStall ? 20 : 10'000;
        EXPECT_EQ(Search(faulty_, 0, timeout_ms), for_good ? one.for_good : one.once) << range;
        EXPECT_GE(faulty_.faults(), 1u);
        faulty_.Clear();
        EXPECT_EQ(Search(faulty_, 0), Code::kOk) << "and then all is well";
      }
    }
  }
}

TEST_F(StoreFaults, MixedFaults) {
  size_t failures = 0, searches = 0;
  for (uint64_t seed = kSeed; seed < kSeed + 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    faulty_.set_slow_ms(0);
    faulty_.SetRandom(seed, .04,
                      {Fault::kReset, Fault::kMissing, Fault::kBusy, Fault::kSlow,
                       Fault::kFlippedBit, Fault::kOtherBytes});
    failures += Failures(faulty_);
    searches += kQueries;
  }
  EXPECT_GT(failures, searches / 10) << "hardly a fault was seen";
  EXPECT_LT(failures, searches * 9 / 10) << "hardly a search was answered";
}

// One bit of each region of each object: wherever a search reads it, it ends in an error.
TEST_F(StoreFaults, ABitFlippedInTheStore) {
  SplitMix64 random(kSeed);
  for (uint32_t o = 0; o < index_->index().n_objects(); ++o) {
    const uint64_t ends[] = {index_->b_offset(o), index_->c_offset(o),
                             index_->object(o).plain_bytes};
    uint64_t begin = 0;
    for (const uint64_t end : ends) {
      SCOPED_TRACE("seed " + std::to_string(kSeed) + ", object " + std::to_string(o) +
                   ", region up to " + std::to_string(end));
      ASSERT_LT(begin, end);
      store::Bytes& stored = *memory_.Bytes(index_->object(o).ref.name);
      // In each frame of the region, of its bytes or of its tag.
      for (uint64_t frame = begin / format::kFrameBytes; frame <= (end - 1) / format::kFrameBytes;
           ++frame) {
        const uint64_t first = format::StoredFrameOffset(frame);
        const uint64_t bytes =
            format::FramePlainBytes(index_->object(o).plain_bytes, frame) + format::kFrameTagBytes;
        stored[first + random.Below(bytes)] ^= static_cast<uint8_t>(1u << random.Below(8));
      }
      size_t damaged = 0;
      for (size_t q = 0; q < kQueries; ++q) {
        const Code code = Search(memory_, q);
        EXPECT_TRUE(code == Code::kOk || code == Code::kCorruption) << static_cast<int>(code);
        damaged += code == Code::kCorruption;
      }
      EXPECT_GT(damaged, 0u) << "nothing was read there";
      stored = index_->sealed(o);
      begin = end;
    }
  }
  EXPECT_EQ(Failures(memory_), 0u);
}

TEST_F(StoreFaults, ObjectsThatAreOthersOrOlderOrCut) {
  // The same rows, built before: every frame opens under its own key, and none under this one.
  const StoredIndex older(index_->base(), "older");
  const uint32_t n = index_->index().n_objects();
  const auto replaced = [&](const std::function<store::Bytes(uint32_t)>& with) {
    for (uint32_t o = 0; o < n; ++o) *memory_.Bytes(index_->object(o).ref.name) = with(o);
    for (size_t q = 0; q < kQueries; ++q) EXPECT_EQ(Search(memory_, q), Code::kCorruption) << q;
  };
  const auto sized = [&](store::Bytes bytes, uint32_t o) {
    bytes.resize(index_->sealed(o).size());
    return bytes;
  };
  replaced([&](uint32_t o) { return sized(older.sealed(o), o); });
  replaced([&](uint32_t o) { return sized(index_->sealed((o + 1) % n), o); });
  replaced([&](uint32_t o) { return index_->sealed((o + 1) % n); });
  replaced([&](uint32_t o) {
    store::Bytes cut = index_->sealed(o);
    cut.resize(cut.size() / 2);
    return cut;
  });
  // Frames of the object itself, at each other's places.
  replaced([&](uint32_t o) {
    store::Bytes shifted = index_->sealed(o);
    std::rotate(shifted.begin(), shifted.begin() + format::kStoredFrameBytes, shifted.end());
    return shifted;
  });
  for (uint32_t o = 0; o < n; ++o) {
    *memory_.Bytes(index_->object(o).ref.name) = index_->sealed(o);
  }
  EXPECT_EQ(Failures(memory_), 0u);
}

// An upload through faults either says so, or is an index that is searched.
TEST_F(StoreFaults, AnUploadThatIsReadBack) {
  const Fault faults[] = {Fault::kLost,         Fault::kFlippedBit, Fault::kDoneButFailed,
                          Fault::kReset,        Fault::kBusy,       Fault::kDiskFull,
                          Fault::kUnauthorized, Fault::kTooLarge,   Fault::kMissing};
  for (const Fault fault : faults) {
    for (const Operation operation : {Operation::kUpload, Operation::kRange}) {
      for (uint64_t nth = 1; nth <= index_->index().n_objects(); ++nth) {
        SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + ", object " +
                     std::to_string(nth));
        MemoryStore beneath("archive");
        FaultStore through(&beneath, &waiter_);
        through.Add({fault, operation, nth, 1});
        const Status status = index_->Upload(through);
        const bool harmless = operation == Operation::kRange &&
                              (fault == Fault::kLost || fault == Fault::kDoneButFailed);
        EXPECT_EQ(status.ok(), harmless) << status.message();
        if (!status.ok()) {
          through.Clear();
          EXPECT_TRUE(index_->Upload(through).ok()) << "and the next one succeeds";
        }
        EXPECT_EQ(Search(through, 0), Code::kOk);
      }
    }
  }
}

// Over HTTP, by what a node may answer to a ranged read.
class HttpFaults : public StoreFaults {
 protected:
  using Answer = std::function<std::optional<ServerReply>(const ServerRequest&)>;

  static std::string TextOf(const store::Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

  /// The object that a request asks a range of; none: it asks for something else.
  static std::optional<uint32_t> ObjectOf(const ServerRequest& request) {
    if (request.Header("range").empty()) return std::nullopt;
    for (uint32_t o = 0; o < index_->index().n_objects(); ++o) {
      if (request.Path().ends_with(store::CidOf(index_->object(o).ref))) return o;
    }
    return std::nullopt;
  }

  /// A search over a node that gives this answer to so many ranged reads.
  static Code SearchOver(const Answer& answer, int times, bool redirect = false,
                         int timeout_ms = 10'000) {
    store::S5Fixture s5;
    s5.options.max_upload_bytes = 30'000'000;
    EXPECT_TRUE(index_->Upload(*store::S5Store::Make(s5.options).value()).ok());
    s5.options.redirect = redirect;
    auto hits = std::make_shared<std::atomic<int>>(0);
    s5.server.fault = [=](const ServerRequest& request) -> std::optional<ServerReply> {
      if (!ObjectOf(request) || *hits == times) return std::nullopt;
      std::optional<ServerReply> reply = answer(request);
      if (reply.has_value()) ++*hits;
      return reply;
    };
    const Code code = Search(s5.store(), 0, timeout_ms);
    EXPECT_GT(*hits, 0) << "no fault";
    return code;
  }
  static constexpr int kForGood = -1;

  /// What the object would answer, changed.
  static Answer Changed(const std::function<void(ServerReply&)>& change) {
    return [=](const ServerRequest& request) {
      ServerReply reply = store::RangeReply(request, TextOf(index_->sealed(*ObjectOf(request))));
      change(reply);
      return reply;
    };
  }
};

TEST_F(HttpFaults, BodiesAndRangesThatAreWrong) {
  const struct {
    const char* name;
    Answer answer;
    Code for_good;
  } cases[] = {
      {"200 with everything",
       [](const ServerRequest& request) {
         return ServerReply{.body = TextOf(index_->sealed(*ObjectOf(request)))};
       },
       Code::kOk},
      {"200 with the range alone", Changed([](ServerReply& reply) { reply.status = 200; }),
       Code::kCorruption},
      {"another range",
       Changed([](ServerReply& reply) { reply.headers = {"Content-Range: bytes 0-16399/999999"}; }),
       Code::kCorruption},
      {"no range", Changed([](ServerReply& reply) { reply.headers.clear(); }), Code::kCorruption},
      {"cut", Changed([](ServerReply& reply) { reply.cut_at = 1000; }), Code::kUnavailable},
      {"cut before the first byte", Changed([](ServerReply& reply) { reply.cut_at = 0; }),
       Code::kUnavailable},
      {"longer", Changed([](ServerReply& reply) { reply.body += "x"; }), Code::kCorruption},
      {"a bit", Changed([](ServerReply& reply) { reply.body[reply.body.size() / 2] ^= 4; }),
       Code::kCorruption},
      {"another object",
       [](const ServerRequest& request) {
         const uint32_t other = (*ObjectOf(request) + 1) % index_->index().n_objects();
         store::Bytes bytes = index_->sealed(other);
         bytes.resize(index_->sealed(*ObjectOf(request)).size());
         return store::RangeReply(request, TextOf(bytes));
       },
       Code::kCorruption},
      {"reset", [](const ServerRequest&) { return ServerReply{.reset = true}; },
       Code::kUnavailable},
      {"slow first byte", Changed([](ServerReply& reply) { reply.delay_ms = 50; }), Code::kOk},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    EXPECT_EQ(SearchOver(one.answer, 1), Code::kOk);
    EXPECT_EQ(SearchOver(one.answer, kForGood), one.for_good);
  }
}

TEST_F(HttpFaults, Stalls) {
  for (const long at : {-1L, 0L, 1000L}) {
    const Answer stall = Changed([=](ServerReply& reply) {
      if (at < 0) reply.delay_ms = 60'000;
      reply.stall_at = at;
    });
    EXPECT_EQ(SearchOver(stall, kForGood, false, kShortMs), Code::kUnavailable) << at;
  }
}

TEST_F(HttpFaults, Statuses) {
  const struct {
    int status;
    Code once, for_good;
  } cases[] = {
      {401, Code::kPermission, Code::kPermission},   {403, Code::kPermission, Code::kPermission},
      {404, Code::kNotFound, Code::kNotFound},       {409, Code::kRefused, Code::kRefused},
      {413, Code::kUnsupported, Code::kUnsupported}, {429, Code::kOk, Code::kUnavailable},
      {500, Code::kOk, Code::kUnavailable},          {503, Code::kOk, Code::kUnavailable}};
  for (const auto& one : cases) {
    const Answer answer = [&](const ServerRequest&) {
      return ServerReply{.status = one.status, .body = "no"};
    };
    EXPECT_EQ(SearchOver(answer, 1), one.once) << one.status;
    EXPECT_EQ(SearchOver(answer, kForGood), one.for_good) << one.status;
  }
}

TEST_F(HttpFaults, Redirects) {
  std::string token;
  store::HttpServer elsewhere([&](const ServerRequest& request) {
    token += request.Header("authorization");
    return store::RangeReply(request, TextOf(index_->sealed(*ObjectOf(request))));
  });
  const auto to = [](const std::string& origin) {
    return [=](const ServerRequest& request) -> std::optional<ServerReply> {
      if (!request.Path().starts_with("/s5/blob/")) return std::nullopt;
      const std::string cid = request.Path().substr(9);
      return ServerReply{.status = 307, .headers = {"Location: " + origin + "/" + cid}};
    };
  };
  EXPECT_EQ(SearchOver(to(elsewhere.Url()), kForGood, true), Code::kOk) << "another host";
  EXPECT_EQ(token, "");
  const Answer loop = [](const ServerRequest& request) {
    return ServerReply{.status = 307, .headers = {"Location: " + request.target}};
  };
  EXPECT_EQ(SearchOver(loop, kForGood, true), Code::kUnavailable) << "a loop";
  EXPECT_EQ(SearchOver(to("http://nowhere.invalid"), kForGood, true, 3000), Code::kUnavailable)
      << "a host without an address";
}

}  // namespace
}  // namespace vdb::engine
