/// HttpStore: what the stores behind HTTP have in common: batches of ranges, and uploads several at
/// a time (http_uploads.h). A store derived from it says what to ask.
#pragma once

#include <memory>
#include <string>

#include "store/exchange.h"
#include "store/range_batch.h"

namespace vdb::store {

/// What any HTTP store is given. The pointers outlive the store.
struct HttpStoreOptions {
  std::string name;  // for messages
  HttpOptions http;
  Waiter* waiter = nullptr;
  StoreState* state = nullptr;  // may be shared with other processes
  uint64_t seed = 0;            // of what is random in retries: another one in each process
};

/// Removes one object by one request, which says 404 where there is none.
class RemovalExchange : public Exchange {
 public:
  explicit RemovalExchange(HttpRequest request) : request_(std::move(request)) {}

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override;
  bool Expects(const HttpReply& reply) const override { return reply.status == 404; }
  /// When it has ended well.
  Removal removal() const { return removal_; }

 protected:
  Removal removal_ = Removal::kRemoved;

 private:
  HttpRequest request_;
};

class HttpStore : public ObjectStore, protected RangeSource {
 public:
  const std::string& name() const override { return context_.name; }
  Status GetRanges(std::span<const RangeRequest> requests, RangeSink& sink,
                   Deadline deadline) override;
  std::unique_ptr<Uploads> NewUploads(const UploadOptions& options) override;
  Result<Removal> Remove(const ObjectRef& object, Deadline deadline) override;
  Status RemoveAll(std::span<const ObjectRef> objects, const RemovedFunction& removed,
                   int timeout_ms) override;

 protected:
  explicit HttpStore(const HttpStoreOptions& options);

  /// The exchange that stores an object.
  virtual std::unique_ptr<Exchange> NewUpload(ObjectRef ref, std::vector<uint8_t> bytes) = 0;
  /// The exchange that removes an object.
  virtual std::unique_ptr<RemovalExchange> NewRemoval(const ObjectRef& object) = 0;
  /// Whether an object of this name can be stored.
  virtual Status CheckObject(const ObjectRef& ref) const = 0;

  /// One request and its reply. A status among `expected` is no error.
  Result<HttpReply> Ask(HttpRequest request, std::vector<int> expected, const std::string& object,
                        Deadline deadline);

  HttpContext context_;

 private:
  friend class HttpUploads;
};

}  // namespace vdb::store
