#include "store/redirects.h"

#include <utility>

namespace vdb::store {

const Redirects::Location* Redirects::Find(const ObjectRef& object, int64_t now_ms) {
  const auto found = known_.find(object.digest);
  if (found == known_.end()) return nullptr;
  if (now_ms < found->second.until_ms) return &found->second.location;
  known_.erase(found);
  return nullptr;
}

void Redirects::Remember(const ObjectRef& object, Location location, int64_t now_ms) {
  // So many are rare: they are found out again.
  if (known_.size() >= kMostLocations) known_.clear();
  known_[object.digest] = {std::move(location), now_ms + kLocationMs};
}

}  // namespace vdb::store
