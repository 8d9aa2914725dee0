#include "format/manifest.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "unit/format_samples.h"

namespace vdb::format {
namespace {

using Json = nlohmann::ordered_json;

TEST(Manifest, RoundTrip) {
  for (bool parent : {true, false}) {
    Manifest manifest = SampleManifest();
    if (!parent) manifest.parent.reset();
    const Result<std::string> text = WriteManifest(manifest);
    ASSERT_TRUE(text.ok()) << text.status().message();
    Result<Manifest> back = ParseManifest(text.value());
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(back.value(), manifest);
  }
}

TEST(Manifest, OtherVersionsAreRefusedByName) {
  Json json = Json::parse(WriteManifest(SampleManifest()).value());
  for (const Json& version : {Json(1), Json(3), Json("2"), Json(2.5), Json(nullptr)}) {
    json["version"] = version;
    const Status status = ParseManifest(json.dump()).status();
    EXPECT_EQ(status.code(), Code::kUnsupported) << version;
    EXPECT_NE(status.message().find(version.dump()), std::string::npos) << status.message();
  }
}

// Whether beside the lists or in their place, and whatever it holds.
TEST(Manifest, AnotherStructureIsRefusedByName) {
  const Json good = Json::parse(WriteManifest(SampleManifest()).value());
  for (const bool beside : {true, false}) {
    for (const Json& structure : {Json::object(), Json(nullptr), Json(5)}) {
      Json json = good;
      if (!beside) json.erase("ivf_structure");
      json["hnsw_structure"] = structure;
      const Status status = ParseManifest(json.dump()).status();
      EXPECT_EQ(status.code(), Code::kUnsupported) << status.message();
      EXPECT_NE(status.message().find("\"hnsw_structure\" is not supported"), std::string::npos)
          << status.message();
    }
  }
}

// Each change makes it something that no writer wrote.
TEST(Manifest, FaultsAreNamed) {
  const Json good = Json::parse(WriteManifest(SampleManifest()).value());
  const struct {
    const char* says;
    std::function<void(Json&)> change;
  } cases[] = {
      {"\"version\" is missing", [](Json& j) { j.erase("version"); }},
      {"\"epoch\" is missing", [](Json& j) { j.erase("epoch"); }},
      {"\"chunks\" is missing", [](Json& j) { j.erase("chunks"); }},
      {"not known", [](Json& j) { j["key"] = "secret"; }},
      {"not known", [](Json& j) { j["chunks"][1]["key"] = 1; }},
      {"not known", [](Json& j) { j["ivf_structure"]["more"] = 1; }},
      {"\"metric\" is not known", [](Json& j) { j["metric"] = "hamming"; }},
      {"\"element_type\" is not known", [](Json& j) { j["element_type"] = "bit"; }},
      {"\"dimensions\" is out of range", [](Json& j) { j["dimensions"] = 16001; }},
      {"\"dimensions\" is out of range", [](Json& j) { j["dimensions"] = 0; }},
      {"\"dimensions\" is not a whole number", [](Json& j) { j["dimensions"] = -4; }},
      {"\"dimensions\" is not a whole number", [](Json& j) { j["dimensions"] = "384"; }},
      {"\"dimensions\" is out of range", [](Json& j) { j["dimensions"] = 1ull << 40; }},
      {"\"index\" is not hexadecimal", [](Json& j) { j["index"] = "abcd"; }},
      {"\"parent\" is not a string", [](Json& j) { j["parent"] = 5; }},
      {"\"parent\" is not a CID", [](Json& j) { j["parent"] = "a/b"; }},
      {"\"chunks\" is not an array", [](Json& j) { j["chunks"] = 3; }},
      {"chunk 0 is not an object", [](Json& j) { j["chunks"][0] = 3; }},
      {"chunk 2.cid is not a CID", [](Json& j) { j["chunks"][2]["cid"] = ""; }},
      {"chunk 1.id is not hexadecimal", [](Json& j) { j["chunks"][1]["id"] = "XY"; }},
      {"chunk 1.list_range is not",
       [](Json& j) {
         j["chunks"][1]["list_range"] = {4, 3};
       }},
      {"chunk 1.list_range is not", [](Json& j) { j["chunks"][1]["list_range"] = {4}; }},
      {"chunk 1.list_range is not",
       [](Json& j) {
         j["chunks"][1]["list_range"] = {-1, 3};
       }},
      {"chunk 1 has lists of the chunk before",
       [](Json& j) {
         j["chunks"][1]["list_range"] = {3, 4};
       }},
      {"chunk 2 leaves out lists",
       [](Json& j) {
         j["chunks"][2]["list_range"] = {6, 8};
       }},
      {"another number of lists", [](Json& j) { j["ivf_structure"]["lists"] = 10; }},
      {"another number of vectors", [](Json& j) { j["total_vectors"] = 26; }},
      {"another number of vectors", [](Json& j) { j["chunks"][0]["vector_count"] = 11; }},
      {"routing.byte_size is out of range",
       [](Json& j) { j["ivf_structure"]["routing"]["byte_size"] = 0; }},
      {"routing.id is missing", [](Json& j) { j["ivf_structure"]["routing"].erase("id"); }},
  };
  for (const auto& c : cases) {
    Json json = good;
    c.change(json);
    const Status status = ParseManifest(json.dump()).status();
    EXPECT_EQ(status.code(), Code::kCorruption) << c.says << ": " << status.message();
    EXPECT_NE(status.message().find(c.says), std::string::npos)
        << "wanted " << c.says << ", got " << status.message();
  }
  for (const char* text : {"", "{", "[]", "null", "\"x\"", "{\"version\":2} trailing", "\xff"}) {
    EXPECT_FALSE(ParseManifest(text).ok()) << text;
  }
}

TEST(Manifest, WhatDoesNotAddUpIsNotWritten) {
  Manifest manifest = SampleManifest();
  manifest.total_vectors++;
  EXPECT_EQ(WriteManifest(manifest).status().code(), Code::kInvalidArgument);
  manifest = SampleManifest();
  manifest.routing.cid = "no cid";
  EXPECT_EQ(WriteManifest(manifest).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace vdb::format
