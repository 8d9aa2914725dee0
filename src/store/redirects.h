/// Redirects: where a store has sent us for an object, so that the next request for it goes there
/// at once.
///
/// A location is kept only after bytes from it have been found right, for some minutes, and
/// forgotten when something goes wrong with it: the store itself is then asked again.
#pragma once

#include <map>
#include <string>

#include "store/object_store.h"

namespace vdb::store {

class Redirects {
 public:
  struct Location {
    std::string url;
    bool other_host = false;  // than the store's: it is not to see the token
  };

  /// Null: none is known, or it has been for too long. Valid until the next call of another kind.
  const Location* Find(const ObjectRef& object, int64_t now_ms);
  void Remember(const ObjectRef& object, Location location, int64_t now_ms);
  void Forget(const ObjectRef& object) { known_.erase(object.digest); }

 private:
  struct Known {
    Location location;
    int64_t until_ms;
  };
  std::map<Digest, Known> known_;
};

/// How long a location is kept. Signed ones are good for a quarter of an hour and more, as a rule.
inline constexpr int64_t kLocationMs = 300'000;
/// Objects of which locations are kept: some hundred kilobytes.
inline constexpr size_t kMostLocations = 1024;

}  // namespace vdb::store
