/// DROP SERVER and DROP EXTENSION are refused while the ledger has rows: nobody would know of the
/// objects any more, or how to reach them. DROP INDEX takes the index's rows in the mirror along.
/// DROP DATABASE ends autoprewarm's worker there (prewarm/reload.h).
/// ALTER SERVER ... RENAME is followed (catalog/server_rename.h).
#pragma once

namespace vdb::pg {

/// Sets the hook. For _PG_init.
void GuardDrops();

}  // namespace vdb::pg
