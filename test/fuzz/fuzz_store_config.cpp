// Options of CREATE SERVER and CREATE USER MAPPING, one a line: a name, a space, a value. What is
// accepted is within its bounds; errors have one code, and never the value of a secret.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "store/config.h"

namespace {

using namespace vdb::store;  // NOLINT(google-build-using-namespace): one file

void Require(bool condition) {
  if (!condition) std::abort();
}

std::vector<Option> OptionsOf(std::string_view text) {
  std::vector<Option> options;
  while (!text.empty() && options.size() < 64) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string_view name = line.substr(0, line.find(' '));
    options.push_back({name, line.substr(std::min(line.size(), name.size() + 1))});
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return options;
}

void TryServer(const std::vector<Option>& options, bool allow_http) {
  const vdb::Result<StoreConfig> config = ParseStoreConfig(options, allow_http);
  if (!config.ok()) {
    Require(config.status().code() == vdb::Code::kInvalidArgument);
    Require(!config.status().message().empty());
    return;
  }
  const StoreConfig& c = config.value();
  Require(c.connect_timeout_ms > 0 && c.stall_timeout_ms > 0);
  Require(c.max_connections > 0 && c.max_connections <= 256);
  Require(c.max_range_kb >= 32 && c.max_range_kb <= 32768);
  Require(c.ca_file.empty() || c.ca_file[0] == '/');
  if (c.type == StoreType::kFile) {
    Require(c.path[0] == '/' && c.url.empty() && c.bucket.empty());
  } else {
    Require(c.path.empty() && !c.url.ends_with('/'));
    Require(c.url.starts_with("https://") || (allow_http && c.url.starts_with("http://")));
    Require(c.url.find_first_of("@?#") == std::string::npos);
    Require((c.type == StoreType::kS3) == !c.bucket.empty());
    Require(c.prefix.empty() || c.prefix.ends_with('/'));
  }
}

void TrySecrets(const std::vector<Option>& options) {
  const vdb::Status status = CheckSecretOptions(options);
  std::string said = status.message() + status.detail();
  // It may repeat names, of which a value may be made up.
  for (const Option& option : options) {
    if (option.name.empty()) continue;
    for (size_t at; (at = said.find(option.name)) != std::string::npos;)
      said.replace(at, option.name.size(), "\n");
  }
  bool files = false;
  for (const Option& option : options) {
    files = files || NamesFile(option.name);
    // Long enough to be nothing else of the message.
    if (option.value.size() >= 128) Require(said.find(option.value) == std::string::npos);
  }
  Require(status.ok() || status.code() == vdb::Code::kInvalidArgument);
  // The fuzzer reads no files.
  if (!status.ok() || files) return;
  const vdb::Result<StoreSecrets> secrets = ReadSecrets(options);
  Require(secrets.ok());
  for (const std::string* secret :
       {&secrets.value().auth_token, &secrets.value().access_key_id,
        &secrets.value().secret_access_key, &secrets.value().session_token})
    Require(secret->find_first_of(" \r\n") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<Option> options = OptionsOf({reinterpret_cast<const char*>(data), size});
  TryServer(options, false);
  TryServer(options, true);
  TrySecrets(options);
  return 0;
}
