/// What the module knows of how it was loaded.
#pragma once

namespace vdb::pg {

/// Whether the server loaded the library at its start (shared_preload_libraries): shared memory and
/// hooks are then there in every session.
bool IsPreloaded();

}  // namespace vdb::pg
