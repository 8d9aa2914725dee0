/// As much of an S5 node, and of the bridge, as the stores use, in this process.
/// test/tools/s5_portal.py is the stand-in that speaks the whole dialect.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "crypto/sign.h"
#include "store/multibase.h"
#include "store/s5.h"
#include "store/s5_bridge.h"
#include "unit/store_fixtures.h"
#include "unit/store_http_server.h"

namespace vdb::store {

/// A key pair for each name, from a seed of zeros and the name.
class TestKeys : public RegistryKeys {
 public:
  Result<PublicKey> Public(std::string_view name) override {
    return crypto::PublicKeyOf(Seed(name));
  }
  Result<Signature> Sign(std::string_view name, std::span<const uint8_t> message) override {
    return crypto::Sign(Seed(name), message);
  }
  bool Verifies(const PublicKey& key, std::span<const uint8_t> message,
                const Signature& signature) override {
    return crypto::Verifies(key, message, signature);
  }

 private:
  static crypto::SecretKey Seed(std::string_view name) {
    return crypto::DeriveKey("vdb_ext test record keys",
                             {reinterpret_cast<const uint8_t*>(name.data()), name.size()});
  }
};

class S5Server {
 public:
  FaultHook fault;
  std::string token = "to/ken+1";
  bool allow_delete = true;
  std::string storage;  // where /s5/blob sends
  std::atomic<int> pins{0}, pieces{0};

  std::string Url() const { return server_.Url(); }
  int requests() const { return server_.requests(); }
  std::string& Entry(const std::string& key) { return registry_[key]; }
  std::map<std::string, std::string>& registry() { return registry_; }

 private:
  static ServerReply Uncaught(const std::string& text) { return {.status = 500, .body = text}; }
  static std::span<const uint8_t> BytesOf(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }

  ServerReply Handle(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    if (std::optional<ServerReply> reply = fault.Ask(request)) return *reply;
    const std::string path = request.Path();
    if (path == "/health") return {};
    if (request.Header("authorization") != "Bearer " + token)
      return {.status = 401, .body = "Unauthorized"};
    if (path.starts_with("/s5/fs/")) return Bridge(request, path.substr(7));
    if (path == "/s5/version") return {.body = "{\"node\":\"1.0.0-pre.1\"}"};
    if (path == "/s5/upload") return Upload(request);
    if (path.starts_with("/s5/upload/tus")) return Tus(request, path.substr(14));
    if (path == "/s5/registry") return Registry(request);
    if (path.starts_with("/s5/pin/")) return ++pins, ServerReply{.status = 204};
    const bool is_delete = path.starts_with("/s5/delete/"), is_blob = path.starts_with("/s5/blob/");
    const std::string cid = path.substr(is_delete ? 11 : is_blob ? 9 : 1);
    const auto blob = blobs_.find(cid);
    if (is_delete && !allow_delete)
      return {.status = 401, .body = "Endpoint disabled in config.toml"};
    if (is_delete) return blobs_.erase(cid), ServerReply{};
    if (blob == blobs_.end()) return Uncaught("Could not download raw file: Timed out");
    if (is_blob) return {.status = 307, .headers = {"Location: " + storage + "/storage/" + cid}};
    // No ranges of small blobs.
    if (blob->second.size() <= 262'144) return {.body = blob->second};
    return RangeReply(request, blob->second);
  }

  std::string Keep(const std::string& bytes) {
    const std::string cid =
        EncodeMultibase('z', LegacyCid({crypto::Blake3(BytesOf(bytes)), bytes.size()}));
    blobs_[cid] = bytes;
    return cid;
  }

  ServerReply Upload(const ServerRequest& request) {
    const std::string type = request.Header("content-type");
    const std::string boundary = "--" + type.substr(type.find("boundary=") + 9);
    const size_t head = request.body.find("\r\n\r\n");
    const size_t end = request.body.rfind("\r\n" + boundary + "--");
    EXPECT_TRUE(request.body.starts_with(boundary + "\r\n"));
    EXPECT_NE(request.body.substr(0, head).find("name=\"file\"; filename="), std::string::npos);
    EXPECT_NE(request.body.substr(0, head).find("application/octet-stream"), std::string::npos);
    const std::string cid = Keep(request.body.substr(head + 4, end - head - 4));
    return {.body = "{\"cid\":\"" + cid + "\"}"};
  }

  ServerReply Tus(const ServerRequest& request, const std::string& id) {
    EXPECT_EQ(request.Header("tus-resumable"), "1.0.0");
    if (id.empty()) {
      const std::string size = request.Header("upload-length");
      const std::string outer = request.Header("upload-metadata").substr(5);
      const std::string name = "/" + std::to_string(++tus_made_);
      tus_[name] = {std::stoul(size), outer, ""};
      for (const auto& [cid, bytes] : blobs_) {
        if (Metadata(bytes) == outer) return {.status = 409};
      }
      return {.status = 201, .headers = {"Location: " + Url() + "/s5/upload/tus" + name}};
    }
    TusUpload& upload = tus_.at(id);
    if (request.method == "HEAD")
      return {.headers = {"Upload-Offset: " + std::to_string(upload.bytes.size())},
              .no_body = true};
    if (request.Header("upload-offset") != std::to_string(upload.bytes.size()))
      return Uncaught("Invalid offset");
    ++pieces;
    upload.bytes += request.body;
    if (upload.bytes.size() < upload.size) return {};
    if (Metadata(upload.bytes) != upload.metadata) return Uncaught("Invalid hash found");
    Keep(upload.bytes);
    return {.status = 204};
  }

  static std::string Metadata(const std::string& bytes) {
    const crypto::Hash hash = crypto::Blake3(BytesOf(bytes));
    Bytes tagged = {0x1f};
    tagged.insert(tagged.end(), hash.begin(), hash.end());
    return EncodeBase64(BytesOf(EncodeBase64Url(tagged)));
  }

  ServerReply Registry(const ServerRequest& request) {
    if (request.method == "GET") {
      const auto entry = registry_.find(request.Query().substr(3));
      if (entry == registry_.end()) return {.status = 404};
      return {.body = entry->second};
    }
    const nlohmann::json fields = nlohmann::json::parse(request.body);
    const Bytes key = DecodeBase64Url(fields["pk"].get<std::string>()).value();
    const Bytes data = DecodeBase64Url(fields["data"].get<std::string>()).value();
    const Bytes signature = DecodeBase64Url(fields["signature"].get<std::string>()).value();
    PublicKey public_key;
    Signature proof;
    EXPECT_EQ(key.size(), 33u);
    std::copy(key.begin() + 1, key.end(), public_key.begin());
    std::copy(signature.begin(), signature.end(), proof.begin());
    const uint64_t revision = fields["revision"];
    if (!crypto::Verifies(public_key, RegistryMessage(revision, data), proof))
      return Uncaught("Invalid signature found");
    std::string& entry = registry_[fields["pk"]];
    if (!entry.empty() && nlohmann::json::parse(entry)["revision"].get<uint64_t>() >= revision)
      return Uncaught("Revision number too low");
    entry = request.body;
    return {.status = 204};
  }

  ServerReply Bridge(const ServerRequest& request, const std::string& key) {
    const auto found = values_.find(key);
    if (request.method == "PUT") {
      values_[key] = request.body;
      return {.body = "{\"success\":true}"};
    }
    if (found == values_.end()) return {.status = 404, .no_body = request.method == "HEAD"};
    if (request.method == "DELETE") return values_.erase(found), ServerReply{};
    return {.body = found->second, .no_body = request.method == "HEAD"};
  }

  struct TusUpload {
    size_t size;
    std::string metadata, bytes;
  };
  std::mutex mutex_;
  std::map<std::string, std::string> blobs_, registry_, values_;
  std::map<std::string, TusUpload> tus_;
  int tus_made_ = 0;
  HttpServer server_{[this](const ServerRequest& request) { return Handle(request); }};
};

class S5Fixture : public StoreFixture {
 public:
  S5Fixture() {
    options.store.name = "s5";
    options.store.waiter = &waiter;
    options.store.state = state.get();
    options.url = server.Url() + "/";
    options.auth_token = server.token;
    options.keys = &keys;
    options.max_upload_bytes = 2'000'000;
  }
  ObjectStore& store() override { return s5(); }
  S5Store& s5() {
    if (store_ == nullptr) {
      auto made = S5Store::Make(options);
      EXPECT_TRUE(made.ok()) << made.status().message();
      store_ = std::move(made).value();
    }
    return *store_;
  }
  S5Options options;
  S5Server server;
  TestKeys keys;
  const std::unique_ptr<StoreState> state = std::make_unique<StoreState>();

 private:
  std::unique_ptr<S5Store> store_;
};

class S5BridgeFixture : public StoreFixture {
 public:
  S5BridgeFixture() : S5BridgeFixture("", "") {}
  /// Of a server elsewhere.
  S5BridgeFixture(const std::string& url, const std::string& token)
      : store_(S5BridgeStore::Make({{"bridge", {}, &waiter, state.get(), 0},
                                    url.empty() ? server.Url() : url,
                                    url.empty() ? server.token : token})
                   .value()) {}
  ObjectStore& store() override { return *store_; }
  S5Server server;
  const std::unique_ptr<StoreState> state = std::make_unique<StoreState>();

 private:
  std::unique_ptr<S5BridgeStore> store_;
};

}  // namespace vdb::store
