/// StoreConfig: how a store is declared: names and values as CREATE SERVER and CREATE USER MAPPING
/// give them, checked and parsed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vdb::store {

struct Option {
  std::string_view name, value;
};

enum class StoreType : uint8_t { kFile, kS3, kS5 };

/// Of the HTTP interfaces that S5 nodes have.
enum class S5Dialect : uint8_t { kPortal, kBridge };

/// What a server's options say. Fields of other types of store are empty.
struct StoreConfig {
  StoreType type = StoreType::kFile;
  std::string path;                        // file: an absolute directory
  std::string url;                         // s5; s3: the endpoint, empty for Amazon's
  S5Dialect dialect = S5Dialect::kPortal;  // s5
  bool redirect = false;                   // s5: bytes come from where the portal sends
  bool pin = false;                        // s5: the portal is asked to keep each object
  int max_upload_kb = 16384;               // s5: of one request; what is larger goes in pieces
  std::string bucket, prefix, region;      // s3; the prefix is empty or ends with a slash
  bool path_style = false;                 // s3: the bucket is in the path, not in the host's name
  bool tls_verify = true;
  std::string ca_file;  // empty: the system's authorities
  int connect_timeout_ms = 5000;
  int stall_timeout_ms = 30000;  // a request without a byte for so long is given up
  int max_connections = 64;      // of one session: a cold search may ask for as many ranges at once
  int max_range_kb = 4096;       // of one ranged read
};

/// What a user mapping's options say. Each may also be given as a file's name, `<name>_file`.
struct StoreSecrets {
  std::string auth_token;                                       // s5
  std::string access_key_id, secret_access_key, session_token;  // s3
};

/// A server's options. allow_http: whether urls may do without TLS.
/// Errors: kInvalidArgument: an option that is unknown, missing, does not go with the type, or has
/// a value that cannot be used.
Result<StoreConfig> ParseStoreConfig(std::span<const Option> options, bool allow_http);

/// Checks a user mapping's options; values of `_file` options only for being absolute paths.
/// Errors: kInvalidArgument. Messages hold no value.
Status CheckSecretOptions(std::span<const Option> options);

/// The secrets; `_file` options are read. Trailing white space of a file is not part of a secret.
/// Errors: as CheckSecretOptions; kPermission, kNotFound: a file that cannot be read.
Result<StoreSecrets> ReadSecrets(std::span<const Option> options);

/// Whether an option makes the server read a file that it names.
bool NamesFile(std::string_view option);

/// Names of the options that a server, or a user mapping, may have; for a hint.
std::string_view ServerOptionNames();
std::string_view SecretOptionNames();

}  // namespace vdb::store
