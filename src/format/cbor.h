/// The CBOR (RFC 8949) that our objects are written in: definite lengths, shortest heads, map
/// entries in one fixed order, typed arrays of RFC 8746. Over libcbor's streaming encoder and
/// decoder, so that large byte strings are neither copied nor allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace vdb::format {

using Uuid = std::array<uint8_t, 16>;

/// Tags, from the IANA registry.
inline constexpr uint64_t kTagSelfDescribed = 55799;  // "this is CBOR", RFC 8949
inline constexpr uint64_t kTagUuid = 37;
inline constexpr uint64_t kTagUint32Le = 70;  // typed arrays, RFC 8746
inline constexpr uint64_t kTagSint8 = 72;
inline constexpr uint64_t kTagFloat16Le = 84;
inline constexpr uint64_t kTagFloat32Le = 85;

/// Bytes of an item's head that carries this number or length.
uint32_t HeadBytes(uint64_t value);

/// Appends data items to a vector.
class CborWriter {
 public:
  explicit CborWriter(std::vector<uint8_t>* out) : out_(out) {}

  void Map(uint64_t entries);
  void Tag(uint64_t tag);
  void Uint(uint64_t value);
  void Float(float value);
  void Text(std::string_view text);
  /// The head alone; the caller appends the bytes.
  void BytesHead(uint64_t length);
  void Bytes(std::span<const uint8_t> bytes);

  void Entry(std::string_view key, uint64_t value) { Text(key), Uint(value); }
  void Entry(std::string_view key, std::string_view value) { Text(key), Text(value); }
  void UuidEntry(std::string_view key, const Uuid& uuid) { Text(key), Tag(kTagUuid), Bytes(uuid); }
  void FloatEntry(std::string_view key, float value) { Text(key), Float(value); }
  /// A typed array; T is trivially copyable and little-endian as it lies in memory.
  template <class T>
  void ArrayEntry(std::string_view key, uint64_t tag, std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    Text(key), Tag(tag);
    Bytes({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
  }

  /// Entry `pad_key`: zeros, as many as it takes for the bytes of the next entry to start at
  /// document offset `target`, where that entry's key, tag and head take `next_bytes`.
  /// Pre: `target` lies 26 to 257 or at least 259 bytes further on than these and `pad_key`.
  void PadEntry(std::string_view pad_key, uint64_t target, uint64_t next_bytes);

 private:
  uint8_t* Grow(size_t bytes);
  void Shrink(size_t unused) { out_->resize(out_->size() - unused); }

  std::vector<uint8_t>* out_;
};

/// Reads the same, item by item, each with the item that must come. The first surprise is kept, and
/// everything after it returns zeros, so a parser may check once for several items.
class CborReader {
 public:
  explicit CborReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return error_.empty(); }
  /// kCorruption with what was wrong and where; OK while ok().
  Status status() const;
  /// Fails the reader, if it has not failed yet.
  void Fail(std::string_view what);
  size_t offset() const { return offset_; }
  /// Fails unless everything has been read.
  void ExpectEnd();

  void ExpectTag(uint64_t tag);
  void ExpectText(std::string_view text);
  uint64_t Map();
  uint64_t Uint(uint64_t max);
  float Float();
  std::span<const uint8_t> Bytes();

  uint64_t UintEntry(std::string_view key, uint64_t min, uint64_t max);
  void TextEntry(std::string_view key, std::string_view value);
  uint32_t Uint32Entry(std::string_view key) {
    return static_cast<uint32_t>(UintEntry(key, 0, 0xffffffff));
  }
  float FloatEntry(std::string_view key);
  Uuid UuidEntry(std::string_view key);
  /// A byte string, tagged unless `tag` is 0, that starts at document offset `start`.
  std::span<const uint8_t> RegionEntry(std::string_view key, uint64_t start, uint64_t tag = 0);
  /// A typed array of `count` elements, copied out.
  template <class T>
  std::vector<T> ArrayEntry(std::string_view key, uint64_t tag, uint64_t count) {
    std::vector<T> values;
    CopyArray(key, tag, count * sizeof(T), [&](size_t n) {
      values.resize(n / sizeof(T));
      return values.data();
    });
    return values;
  }
  /// A byte string of zeros.
  void PadEntry(std::string_view key);

 private:
  struct Item;
  Item Next();
  template <class Allocate>
  void CopyArray(std::string_view key, uint64_t tag, uint64_t bytes, Allocate allocate) {
    const std::span<const uint8_t> found = ArrayBytes(key, tag, bytes);
    if (!found.empty()) CopyBytes(allocate(found.size()), found);
  }
  std::span<const uint8_t> ArrayBytes(std::string_view key, uint64_t tag, uint64_t bytes);
  static void CopyBytes(void* to, std::span<const uint8_t> from);

  std::span<const uint8_t> bytes_;
  size_t offset_ = 0;
  std::string error_;
};

}  // namespace vdb::format
