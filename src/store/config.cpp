#include "store/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/strcat.h"
#include "store/object_store.h"

namespace vdb::store {
namespace {

constexpr size_t kMaxSecretBytes = 16384;  // session tokens of Amazon's take up to a few thousand

// Which types an option goes with, one bit a type.
constexpr unsigned kFileBit = 1u << static_cast<unsigned>(StoreType::kFile);
constexpr unsigned kS3Bit = 1u << static_cast<unsigned>(StoreType::kS3);
constexpr unsigned kS5Bit = 1u << static_cast<unsigned>(StoreType::kS5);
constexpr unsigned kHttpBits = kS3Bit | kS5Bit;

/// Without the value, in which somebody may have put a password.
Status BadUrl(const Option& option, std::string_view wanted) {
  return InvalidArgument(StrCat("invalid value for option \"", option.name, "\""))
      .WithDetail(StrCat("It must be ", wanted, "."));
}

Status BadValue(const Option& option, std::string_view wanted) {
  return InvalidArgument(
             StrCat("invalid value for option \"", option.name, "\": \"", option.value, "\""))
      .WithDetail(StrCat("It must be ", wanted, "."));
}

Status ParseBool(const Option& option, bool* out) {
  for (std::string_view yes : {"on", "true", "yes", "1"}) {
    if (option.value == yes) return (*out = true, Status());
  }
  for (std::string_view no : {"off", "false", "no", "0"}) {
    if (option.value == no) return (*out = false, Status());
  }
  return BadValue(option, "\"on\" or \"off\"");
}

Status ParseNumber(const Option& option, int least, int most, std::string_view unit, int* out) {
  const char* const end = option.value.data() + option.value.size();
  const auto [stop, error] = std::from_chars(option.value.data(), end, *out);
  if (error != std::errc() || stop != end || *out < least || *out > most) {
    return BadValue(option, StrCat("a whole number of ", unit, " from ", least, " to ", most));
  }
  return {};
}

Status ParsePath(const Option& option, std::string* out) {
  if (option.value.empty() || option.value[0] != '/' ||
      option.value.find('\0') != std::string_view::npos) {
    return BadValue(option, "an absolute path");
  }
  *out = option.value;
  return {};
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool AllOf(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return IsLetter(c) || IsDigit(c) || more.find(c) != std::string_view::npos;
  });
}

// A scheme, a host with an optional port, an optional path: nothing that could hold a secret
// (user, password, query) or confuse what is appended to it.
Status ParseUrl(const Option& option, bool allow_http, std::string* out) {
  std::string_view rest = option.value;
  const bool tls = rest.starts_with("https://");
  if (!tls && !rest.starts_with("http://")) {
    return BadUrl(option, "a URL that begins with https://");
  }
  if (!tls && !allow_http) {
    return BadUrl(option, "a URL that begins with https://")
        .WithHint("Superusers can set vdb.allow_http, where the network is trusted.");
  }
  rest.remove_prefix(tls ? 8 : 7);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.empty() || !AllOf(rest, ".-_~:/[]%")) {
    return BadUrl(option, "a URL of a host, an optional port and an optional path");
  }
  *out = option.value;
  while (out->ends_with('/')) out->pop_back();
  return {};
}

Status ParseBucket(const Option& option, std::string* out) {
  const std::string_view v = option.value;
  const bool good = v.size() >= 3 && v.size() <= 63 && v.front() != '.' && v.back() != '.' &&
                    AllOf(v, ".-_") && v.find("..") == std::string_view::npos;
  if (!good) return BadValue(option, "a bucket's name");
  *out = v;
  return {};
}

Status ParsePrefix(const Option& option, std::string* out) {
  *out = option.value;
  while (out->ends_with('/')) out->pop_back();
  if (out->empty()) return {};
  // Leaves room for the names of objects.
  if (!CheckName(*out).ok() || out->size() > kMaxNameBytes / 2) {
    return BadValue(option, "letters, digits and \"._-\", in parts between slashes");
  }
  out->push_back('/');
  return {};
}

Status ParseRegion(const Option& option, std::string* out) {
  if (option.value.empty() || !AllOf(option.value, "-")) {
    return BadValue(option, "letters, digits and hyphens");
  }
  *out = option.value;
  return {};
}

struct ServerOption {
  std::string_view name;
  unsigned types;
  Status (*parse)(const Option& option, bool allow_http, StoreConfig* out);
};

constexpr std::array kServerOptions = {
    ServerOption{"type", kFileBit | kHttpBits,
                 [](const Option&, bool, StoreConfig*) { return Status(); }},
    ServerOption{"path", kFileBit,
                 [](const Option& o, bool, StoreConfig* c) { return ParsePath(o, &c->path); }},
    ServerOption{
        "url", kS5Bit,
        [](const Option& o, bool http, StoreConfig* c) { return ParseUrl(o, http, &c->url); }},
    ServerOption{"dialect", kS5Bit,
                 [](const Option& o, bool, StoreConfig* c) {
                   if (o.value != "portal" && o.value != "bridge") {
                     return BadValue(o, "\"portal\" or \"bridge\"");
                   }
                   c->dialect = o.value == "bridge" ? S5Dialect::kBridge : S5Dialect::kPortal;
                   return Status();
                 }},
    ServerOption{"redirect", kS5Bit,
                 [](const Option& o, bool, StoreConfig* c) { return ParseBool(o, &c->redirect); }},
    ServerOption{"pin", kS5Bit,
                 [](const Option& o, bool, StoreConfig* c) { return ParseBool(o, &c->pin); }},
    ServerOption{"max_upload", kS5Bit,
                 [](const Option& o, bool, StoreConfig* c) {
                   // A node takes 34,000,000 bytes unless it is told otherwise.
                   return ParseNumber(o, 32, 33'000, "kilobytes", &c->max_upload_kb);
                 }},
    ServerOption{
        "endpoint", kS3Bit,
        [](const Option& o, bool http, StoreConfig* c) { return ParseUrl(o, http, &c->url); }},
    ServerOption{"bucket", kS3Bit,
                 [](const Option& o, bool, StoreConfig* c) { return ParseBucket(o, &c->bucket); }},
    ServerOption{"prefix", kS3Bit,
                 [](const Option& o, bool, StoreConfig* c) { return ParsePrefix(o, &c->prefix); }},
    ServerOption{"region", kS3Bit,
                 [](const Option& o, bool, StoreConfig* c) { return ParseRegion(o, &c->region); }},
    ServerOption{
        "path_style", kS3Bit,
        [](const Option& o, bool, StoreConfig* c) { return ParseBool(o, &c->path_style); }},
    ServerOption{
        "tls_verify", kHttpBits,
        [](const Option& o, bool, StoreConfig* c) { return ParseBool(o, &c->tls_verify); }},
    ServerOption{"ca_file", kHttpBits,
                 [](const Option& o, bool, StoreConfig* c) { return ParsePath(o, &c->ca_file); }},
    ServerOption{"connect_timeout", kHttpBits,
                 [](const Option& o, bool, StoreConfig* c) {
                   return ParseNumber(o, 1, 600'000, "milliseconds", &c->connect_timeout_ms);
                 }},
    ServerOption{"stall_timeout", kHttpBits,
                 [](const Option& o, bool, StoreConfig* c) {
                   return ParseNumber(o, 1, 600'000, "milliseconds", &c->stall_timeout_ms);
                 }},
    ServerOption{"max_connections", kHttpBits,
                 [](const Option& o, bool, StoreConfig* c) {
                   return ParseNumber(o, 1, 256, "connections", &c->max_connections);
                 }},
    ServerOption{"max_range", kFileBit | kHttpBits,
                 [](const Option& o, bool, StoreConfig* c) {
                   return ParseNumber(o, 32, 32768, "kilobytes", &c->max_range_kb);
                 }},
};

struct SecretOption {
  std::string_view name;
  std::string StoreSecrets::*member;
};

constexpr std::array kSecretOptions = {
    SecretOption{"auth_token", &StoreSecrets::auth_token},
    SecretOption{"access_key_id", &StoreSecrets::access_key_id},
    SecretOption{"secret_access_key", &StoreSecrets::secret_access_key},
    SecretOption{"session_token", &StoreSecrets::session_token},
};

constexpr std::string_view kFileSuffix = "_file";

std::string_view WithoutFile(std::string_view name) {
  if (name.ends_with(kFileSuffix)) name.remove_suffix(kFileSuffix.size());
  return name;
}

const SecretOption* FindSecret(std::string_view name) {
  for (const SecretOption& known : kSecretOptions) {
    if (known.name == WithoutFile(name)) return &known;
  }
  return nullptr;
}

const std::string_view* Find(std::span<const Option> options, std::string_view name) {
  for (const Option& option : options) {
    if (option.name == name) return &option.value;
  }
  return nullptr;
}

Status Missing(std::string_view name, std::string_view type) {
  return InvalidArgument(
      StrCat("option \"", name, "\" is required for a store of type \"", type, "\""));
}

// Goes into an HTTP header: one line of visible characters.
bool IsHeaderText(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

Status BadSecret(std::string_view name) {
  return InvalidArgument(StrCat("invalid value for option \"", name, "\""))
      .WithDetail("It must be of visible ASCII characters, without blanks.");
}

Result<std::string> ReadSecretFile(std::string_view option, std::string_view path) {
  const auto close = [](FILE* file) { std::fclose(file); };
  const std::unique_ptr<FILE, decltype(close)> file(std::fopen(std::string(path).c_str(), "re"),
                                                    close);
  if (file == nullptr) {
    const int error = errno;
    return Status(error == ENOENT ? Code::kNotFound : Code::kPermission,
                  StrCat("could not open the file that option \"", option,
                         "\" names: ", std::strerror(error)));
  }
  std::string text(kMaxSecretBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return Status(Code::kPermission,
                  StrCat("could not read the file that option \"", option, "\" names"));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  if (text.size() > kMaxSecretBytes || !IsHeaderText(text)) return BadSecret(option);
  return text;
}

}  // namespace

Result<StoreConfig> ParseStoreConfig(std::span<const Option> options, bool allow_http) {
  const std::string_view* type = Find(options, "type");
  if (type == nullptr) {
    return InvalidArgument("option \"type\" is required")
        .WithHint("Valid values are \"s5\", \"s3\" and \"file\".");
  }
  StoreConfig config;
  if (*type == "file") {
    config.type = StoreType::kFile;
  } else if (*type == "s3") {
    config.type = StoreType::kS3;
  } else if (*type == "s5") {
    config.type = StoreType::kS5;
  } else {
    return BadValue({"type", *type}, "\"s5\", \"s3\" or \"file\"");
  }
  for (const Option& option : options) {
    const auto* known = std::find_if(kServerOptions.begin(), kServerOptions.end(),
                                     [&](const ServerOption& o) { return o.name == option.name; });
    if (known == kServerOptions.end()) {
      return InvalidArgument(StrCat("invalid option \"", option.name, "\""))
          .WithHint(StrCat("Valid options are: ", ServerOptionNames()));
    }
    if ((known->types & 1u << static_cast<unsigned>(config.type)) == 0) {
      return InvalidArgument(
          StrCat("option \"", option.name, "\" is not for a store of type \"", *type, "\""));
    }
    VDB_RETURN_IF_ERROR(known->parse(option, allow_http, &config));
  }
  switch (config.type) {
    case StoreType::kFile:
      if (config.path.empty()) return Missing("path", *type);
      break;
    case StoreType::kS5:
      if (config.url.empty()) return Missing("url", *type);
      if (config.dialect != S5Dialect::kBridge) break;
      for (const auto& [name, wanted] :
           {std::pair("redirect", config.redirect), std::pair("pin", config.pin),
            std::pair("max_upload", Find(options, "max_upload") != nullptr)}) {
        if (!wanted) continue;
        return InvalidArgument(StrCat("option \"", name, "\" is not for dialect \"bridge\""));
      }
      break;
    case StoreType::kS3:
      if (config.bucket.empty()) return Missing("bucket", *type);
      if (config.region.empty()) config.region = "us-east-1";
      if (config.url.empty()) config.url = StrCat("https://s3.", config.region, ".amazonaws.com");
      break;
  }
  return config;
}

Status CheckSecretOptions(std::span<const Option> options) {
  for (const Option& option : options) {
    const SecretOption* known = FindSecret(option.name);
    if (known == nullptr) {
      return InvalidArgument(StrCat("invalid option \"", option.name, "\""))
          .WithHint(StrCat("Valid options are: ", SecretOptionNames()));
    }
    if (NamesFile(option.name)) {
      if (Find(options, known->name) != nullptr) {
        return InvalidArgument(
            StrCat("options \"", known->name, "\" and \"", option.name, "\" exclude each other"));
      }
      if (option.value.empty() || option.value[0] != '/') {
        return InvalidArgument(StrCat("option \"", option.name, "\" must be an absolute path"));
      }
    } else if (!IsHeaderText(option.value) || option.value.size() > kMaxSecretBytes) {
      return BadSecret(option.name);
    }
  }
  return {};
}

Result<StoreSecrets> ReadSecrets(std::span<const Option> options) {
  VDB_RETURN_IF_ERROR(CheckSecretOptions(options));
  StoreSecrets secrets;
  for (const Option& option : options) {
    std::string& value = secrets.*FindSecret(option.name)->member;
    if (NamesFile(option.name)) {
      VDB_ASSIGN_OR_RETURN(value, ReadSecretFile(option.name, option.value));
    } else {
      value = option.value;
    }
  }
  return secrets;
}

bool NamesFile(std::string_view option) {
  return option == "ca_file" || (option.ends_with(kFileSuffix) && FindSecret(option) != nullptr);
}

std::string_view ServerOptionNames() {
  static const std::string& names = *new std::string([] {
    std::string all;
    for (const ServerOption& option : kServerOptions) {
      all += StrCat(all.empty() ? "" : ", ", option.name);
    }
    return all;
  }());
  return names;
}

std::string_view SecretOptionNames() {
  static const std::string& names = *new std::string([] {
    std::string all;
    for (const SecretOption& option : kSecretOptions) {
      all += StrCat(all.empty() ? "" : ", ", option.name, ", ", option.name, kFileSuffix);
    }
    return all;
  }());
  return names;
}

}  // namespace vdb::store
