/// The file that says what was in the cache: vdb_ext.autoprewarm in the data directory. It holds
/// ids of objects and numbers of frames, and nothing of what is in them.
#pragma once

#include <vector>

#include "pg/cache/frame_cache.h"

namespace vdb::pg {

/// Replaces the file: whole, or not at all. What goes wrong is logged. Throws only for memory.
void WriteHotFile(const std::vector<CachedFrame>& frames);

/// What the file says, no more than `most_frames` frames of the cache. Empty, and logged, when it
/// is damaged or of another version; empty when there is none.
std::vector<CachedFrame> ReadHotFile(size_t most_frames);

}  // namespace vdb::pg
