/// The files that say what was in the cache: vdb_ext.autoprewarm in the data directory; and, while
/// it is read again, vdb_ext.autoprewarm.unread, by which a reader tells the keeper what it could
/// not read. They hold ids of objects and numbers of frames, and nothing of what is in them.
#pragma once

#include <optional>
#include <vector>

#include "pg/cache/frame_cache.h"

namespace vdb::pg {

enum class HotFile { kCache, kUnread };

/// Replaces a file: whole, or not at all. What goes wrong is logged. Throws only for memory.
void WriteHotFile(HotFile file, const std::vector<CachedFrame>& frames);

/// What a file says, no more than `most_frames` frames of the cache. Nothing when there is none;
/// and, which is logged, when it is damaged or of another version.
std::optional<std::vector<CachedFrame>> ReadHotFile(HotFile file, size_t most_frames);

void RemoveHotFile(HotFile file);

}  // namespace vdb::pg
