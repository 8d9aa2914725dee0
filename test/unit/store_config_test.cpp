#include "store/config.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

namespace vdb::store {
namespace {

using Options = std::vector<Option>;

TEST(StoreConfig, S5) {
  const Options options = {{"type", "s5"},          {"url", "https://portal.example:8443/s5/"},
                           {"dialect", "bridge"},   {"tls_verify", "off"},
                           {"ca_file", "/etc/ca"},  {"connect_timeout", "250"},
                           {"stall_timeout", "99"}, {"max_connections", "3"},
                           {"max_range", "64"}};
  const Result<StoreConfig> config = ParseStoreConfig(options, false);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->type, StoreType::kS5);
  EXPECT_EQ(config->url, "https://portal.example:8443/s5");
  EXPECT_EQ(config->dialect, S5Dialect::kBridge);
  EXPECT_FALSE(config->tls_verify);
  EXPECT_EQ(config->ca_file, "/etc/ca");
  EXPECT_EQ(config->connect_timeout_ms, 250);
  EXPECT_EQ(config->stall_timeout_ms, 99);
  EXPECT_EQ(config->max_connections, 3);
  EXPECT_EQ(config->max_range_kb, 64);
  EXPECT_FALSE(config->redirect);
  EXPECT_FALSE(config->pin);
  EXPECT_EQ(config->max_upload_kb, 16384);
  const Options portal = {{"type", "s5"},
                          {"url", "https://h"},
                          {"redirect", "on"},
                          {"pin", "on"},
                          {"max_upload", "500"}};
  const Result<StoreConfig> fuller = ParseStoreConfig(portal, false);
  ASSERT_TRUE(fuller.ok()) << fuller.status().message();
  EXPECT_TRUE(fuller->redirect);
  EXPECT_TRUE(fuller->pin);
  EXPECT_EQ(fuller->max_upload_kb, 500);
}

TEST(StoreConfig, S3) {
  const Options least = {{"type", "s3"}, {"bucket", "vectors"}};
  const Result<StoreConfig> config = ParseStoreConfig(least, false);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->region, "us-east-1");
  EXPECT_EQ(config->url, "https://s3.us-east-1.amazonaws.com");
  EXPECT_TRUE(config->tls_verify);
  EXPECT_FALSE(config->path_style);

  const Options all = {{"type", "s3"},       {"bucket", "b.c"},
                       {"prefix", "a/b/"},   {"region", "eu-north-1"},
                       {"path_style", "on"}, {"endpoint", "http://127.0.0.1:9000"}};
  EXPECT_FALSE(ParseStoreConfig(all, false).ok());
  const Result<StoreConfig> other = ParseStoreConfig(all, true);
  ASSERT_TRUE(other.ok()) << other.status().message();
  EXPECT_EQ(other->prefix, "a/b/");
  EXPECT_EQ(other->url, "http://127.0.0.1:9000");
  EXPECT_TRUE(other->path_style);
}

TEST(StoreConfig, RefusesWhatCannotBeUsed) {
  const Options s5 = {{"type", "s5"}, {"url", "https://h"}};
  const Options bridge = {{"type", "s5"}, {"url", "https://h"}, {"dialect", "bridge"}};
  const Options s3 = {{"type", "s3"}, {"bucket", "bucket"}};
  const Options file = {{"type", "file"}, {"path", "/srv"}};
  const struct {
    const Options& base;
    Option more;
    const char* says;
  } cases[] = {
      {s5, {"url", "https://user:secret@host"}, "invalid value"},
      {s5, {"url", "https://host/?token=1"}, "invalid value"},
      {s5, {"url", "https://"}, "invalid value"},
      {s5, {"url", "ftp://host"}, "invalid value"},
      {s5, {"dialect", "rust"}, "invalid value"},
      {s5, {"redirect", "maybe"}, "invalid value"},
      {bridge, {"redirect", "on"}, "not for dialect \"bridge\""},
      {s5, {"pin", "2"}, "invalid value"},
      {bridge, {"pin", "on"}, "not for dialect \"bridge\""},
      {s3, {"pin", "on"}, "not for a store of type \"s3\""},
      {s5, {"max_upload", "31"}, "invalid value"},
      {s5, {"max_upload", "33001"}, "invalid value"},
      {bridge, {"max_upload", "1000"}, "not for dialect \"bridge\""},
      {s3, {"max_upload", "1000"}, "not for a store of type \"s3\""},
      {s3, {"redirect", "on"}, "not for a store of type \"s3\""},
      {s5, {"max_connections", "0"}, "invalid value"},
      {s5, {"max_connections", "4x"}, "invalid value"},
      {s5, {"connect_timeout", "99999999999999"}, "invalid value"},
      {s5, {"tls_verify", "maybe"}, "invalid value"},
      {s5, {"ca_file", "relative"}, "invalid value"},
      {s5, {"bucket", "bucket"}, "not for a store of type \"s5\""},
      {s5, {"auth_token", "t"}, "invalid option"},
      {s3, {"bucket", "a/b"}, "invalid value"},
      {s3, {"prefix", "../up"}, "invalid value"},
      {s3, {"region", "a b"}, "invalid value"},
      {s3, {"path", "/srv"}, "not for a store of type \"s3\""},
      {file, {"path", "srv"}, "invalid value"},
      {file, {"ca_file", "/etc/ca"}, "not for a store of type \"file\""},
  };
  for (const auto& c : cases) {
    Options options = c.base;
    options.push_back(c.more);
    const Status status = ParseStoreConfig(options, false).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << c.more.name << " " << c.more.value;
    EXPECT_NE(status.message().find(c.says), std::string::npos) << status.message();
    EXPECT_EQ((status.message() + status.detail()).find("secret"), std::string::npos);
  }
  for (const char* type : {"s5", "s3", "file", "", "nfs"}) {
    const Options only = {{"type", type}};
    EXPECT_FALSE(ParseStoreConfig(only, false).ok()) << type;
  }
  EXPECT_FALSE(ParseStoreConfig({}, false).ok());
}

TEST(StoreSecrets, NeverInMessages) {
  const Options bad = {{"auth_token", "sesame\r\nX-Injected: 1"}};
  const Status status = CheckSecretOptions(bad);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ((status.message() + status.detail() + status.hint()).find("sesame"), std::string::npos);
  EXPECT_FALSE(CheckSecretOptions(Options{{"password", "x"}}).ok());
  EXPECT_FALSE(CheckSecretOptions(Options{{"auth_token", ""}}).ok());
  EXPECT_FALSE(CheckSecretOptions(Options{{"auth_token_file", "relative"}}).ok());
  EXPECT_FALSE(CheckSecretOptions(Options{{"auth_token", "a"}, {"auth_token_file", "/f"}}).ok());
}

TEST(StoreSecrets, FromFiles) {
  const std::string path = testing::TempDir() + "/vdb_store_config_secret";
  std::ofstream(path) << "open-sesame \n";
  const std::string missing = path + ".missing";
  const Options options = {{"access_key_id", "AKID"}, {"secret_access_key_file", path}};
  const Result<StoreSecrets> secrets = ReadSecrets(options);
  ASSERT_TRUE(secrets.ok()) << secrets.status().message();
  EXPECT_EQ(secrets->access_key_id, "AKID");
  EXPECT_EQ(secrets->secret_access_key, "open-sesame");
  EXPECT_TRUE(secrets->session_token.empty());

  EXPECT_EQ(ReadSecrets(Options{{"auth_token_file", missing}}).status().code(), Code::kNotFound);
  std::ofstream(path) << "two words";
  const Status status = ReadSecrets(Options{{"auth_token_file", path}}).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message().find("two"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(StoreOptions, FilesAreNamed) {
  EXPECT_TRUE(NamesFile("ca_file"));
  EXPECT_TRUE(NamesFile("session_token_file"));
  EXPECT_FALSE(NamesFile("session_token"));
  EXPECT_FALSE(NamesFile("path"));
}

}  // namespace
}  // namespace vdb::store
