/// Where the text of the master keys comes from: a command's output or a file. Neither the text nor
/// the setting that names the source ever appears in a message.
#pragma once

#include <string>

#include "base/status.h"

namespace vdb::pg {

/// Runs a shell command and returns what it wrote to its standard output; wipe it. What it writes
/// to standard error goes to the server's log, as with archive_command. Waits on the latch: a
/// cancel, a timeout or an error kills the command and all it started. Errors: kUnavailable: it
/// failed, took longer than 30 s, or wrote more than a key ring takes. Throws what an interrupt
/// raises.
Result<std::string> RunKeyCommand(const char* command);

/// Reads a regular file; wipe what it returns. A file that others can read is noted in the server's
/// log.
/// Errors: kNotFound: it cannot be opened; kInvalidArgument: no regular file, or too long.
Result<std::string> ReadKeyFile(const char* path);

}  // namespace vdb::pg
