#include "format/cbor.h"

#include <cbor.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/strcat.h"

namespace vdb::format {
namespace {

static_assert(std::endian::native == std::endian::little, "typed arrays are stored as they are");
constexpr size_t kMaxHead = 9;

}  // namespace

uint32_t HeadBytes(uint64_t value) {
  return value < 24 ? 1 : value <= 0xff ? 2 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
}

uint8_t* CborWriter::Grow(size_t bytes) {
  const size_t old = out_->size();
  out_->resize(old + bytes);
  return out_->data() + old;
}

void CborWriter::Map(uint64_t entries) {
  Shrink(kMaxHead - cbor_encode_map_start(entries, Grow(kMaxHead), kMaxHead));
}
void CborWriter::Tag(uint64_t tag) {
  Shrink(kMaxHead - cbor_encode_tag(tag, Grow(kMaxHead), kMaxHead));
}
void CborWriter::Uint(uint64_t value) {
  Shrink(kMaxHead - cbor_encode_uint(value, Grow(kMaxHead), kMaxHead));
}
void CborWriter::Float(float value) {
  Shrink(kMaxHead - cbor_encode_single(value, Grow(kMaxHead), kMaxHead));
}

void CborWriter::Text(std::string_view text) {
  Shrink(kMaxHead - cbor_encode_string_start(text.size(), Grow(kMaxHead), kMaxHead));
  std::copy(text.begin(), text.end(), Grow(text.size()));
}

void CborWriter::BytesHead(uint64_t length) {
  Shrink(kMaxHead - cbor_encode_bytestring_start(length, Grow(kMaxHead), kMaxHead));
}

void CborWriter::Bytes(std::span<const uint8_t> bytes) {
  BytesHead(bytes.size());
  out_->insert(out_->end(), bytes.begin(), bytes.end());
}

void CborWriter::PadEntry(std::string_view pad_key, uint64_t target, uint64_t next_bytes) {
  Text(pad_key);
  const uint64_t room = target - next_bytes - out_->size();
  const uint64_t head = room <= 24 ? 1 : room <= 257 ? 2 : 3;
  BytesHead(room - head);
  out_->resize(out_->size() + (room - head), 0);
}

/// One data item, as libcbor's decoder reports it.
struct CborReader::Item {
  enum Kind { kNone, kUint, kBytes, kText, kMap, kTag, kFloat } kind = kNone;
  uint64_t value = 0;  // number, length, entries, tag
  float number = 0;
  const uint8_t* data = nullptr;
};

namespace {

// libcbor calls these; none may throw.
template <class Item, class T>
void OnUint(void* context, T value) noexcept {
  *static_cast<Item*>(context) = {Item::kUint, value, 0, nullptr};
}
template <class Item>
void OnBytes(void* context, cbor_data data, size_t length) noexcept {
  *static_cast<Item*>(context) = {Item::kBytes, length, 0, data};
}
template <class Item>
void OnText(void* context, cbor_data data, size_t length) noexcept {
  *static_cast<Item*>(context) = {Item::kText, length, 0, data};
}
template <class Item>
void OnMap(void* context, size_t entries) noexcept {
  *static_cast<Item*>(context) = {Item::kMap, entries, 0, nullptr};
}
template <class Item>
void OnTag(void* context, uint64_t tag) noexcept {
  *static_cast<Item*>(context) = {Item::kTag, tag, 0, nullptr};
}
template <class Item>
void OnFloat(void* context, float value) noexcept {
  *static_cast<Item*>(context) = {Item::kFloat, 0, value, nullptr};
}

template <class Item>
cbor_callbacks Callbacks() {
  cbor_callbacks callbacks = cbor_empty_callbacks;
  callbacks.uint8 = OnUint<Item, uint8_t>;
  callbacks.uint16 = OnUint<Item, uint16_t>;
  callbacks.uint32 = OnUint<Item, uint32_t>;
  callbacks.uint64 = OnUint<Item, uint64_t>;
  callbacks.byte_string = OnBytes<Item>;
  callbacks.string = OnText<Item>;
  callbacks.map_start = OnMap<Item>;
  callbacks.tag = OnTag<Item>;
  callbacks.float4 = OnFloat<Item>;
  return callbacks;
}

}  // namespace

CborReader::Item CborReader::Next() {
  static const cbor_callbacks callbacks = Callbacks<Item>();
  Item item;
  if (!ok()) return item;
  const cbor_decoder_result result =
      cbor_stream_decode(bytes_.data() + offset_, bytes_.size() - offset_, &callbacks, &item);
  if (result.status != CBOR_DECODER_FINISHED) {
    item.kind = Item::kNone;
    Fail(result.status == CBOR_DECODER_NEDATA ? "truncated item" : "malformed item");
    return item;
  }
  // Every item has one spelling only; anything else is not ours.
  const bool string = item.kind == Item::kBytes || item.kind == Item::kText;
  const size_t head = item.kind == Item::kFloat ? 5 : HeadBytes(item.value);
  if (item.kind != Item::kNone && result.read != head + (string ? item.value : 0)) {
    item.kind = Item::kNone;
    Fail("overlong item");
    return item;
  }
  offset_ += result.read;
  return item;
}

Status CborReader::status() const {
  if (ok()) return {};
  return Corruption(StrCat("malformed object: ", error_));
}

void CborReader::Fail(std::string_view what) {
  if (ok()) error_ = StrCat(what, " at byte ", offset_);
}

void CborReader::ExpectEnd() {
  if (offset_ != bytes_.size()) Fail("trailing bytes");
}

void CborReader::ExpectTag(uint64_t tag) {
  const Item item = Next();
  if (item.kind != Item::kTag || item.value != tag) Fail(StrCat("no tag ", tag));
}

void CborReader::ExpectText(std::string_view text) {
  const Item item = Next();
  if (item.kind != Item::kText || item.value != text.size() ||
      std::memcmp(item.data, text.data(), text.size()) != 0)
    Fail(StrCat("no \"", text, "\""));
}

uint64_t CborReader::Map() {
  const Item item = Next();
  if (item.kind != Item::kMap) Fail("no map");
  return ok() ? item.value : 0;
}

uint64_t CborReader::Uint(uint64_t max) {
  const Item item = Next();
  if (item.kind != Item::kUint || item.value > max) Fail("no number, or out of range,");
  return ok() ? item.value : 0;
}

float CborReader::Float() {
  const Item item = Next();
  if (item.kind != Item::kFloat) Fail("no float");
  return ok() ? item.number : 0;
}

std::span<const uint8_t> CborReader::Bytes() {
  const Item item = Next();
  if (item.kind != Item::kBytes) Fail("no byte string");
  return ok() ? std::span(item.data, item.value) : std::span<const uint8_t>();
}

uint64_t CborReader::UintEntry(std::string_view key, uint64_t min, uint64_t max) {
  ExpectText(key);
  const uint64_t value = Uint(max);
  if (value < min) Fail(StrCat("\"", key, "\" out of range"));
  return ok() ? value : 0;
}

void CborReader::TextEntry(std::string_view key, std::string_view value) {
  ExpectText(key);
  ExpectText(value);
}

float CborReader::FloatEntry(std::string_view key) {
  ExpectText(key);
  return Float();
}

Uuid CborReader::UuidEntry(std::string_view key) {
  ExpectText(key);
  ExpectTag(kTagUuid);
  const std::span<const uint8_t> bytes = Bytes();
  Uuid uuid{};
  if (bytes.size() != uuid.size()) Fail(StrCat("\"", key, "\" is no uuid"));
  if (ok()) std::copy(bytes.begin(), bytes.end(), uuid.begin());
  return uuid;
}

std::span<const uint8_t> CborReader::RegionEntry(std::string_view key, uint64_t start,
                                                 uint64_t tag) {
  ExpectText(key);
  if (tag != 0) ExpectTag(tag);
  const std::span<const uint8_t> bytes = Bytes();
  if (ok() && offset_ - bytes.size() != start)
    Fail(StrCat("\"", key, "\" does not start at byte ", start));
  return ok() ? bytes : std::span<const uint8_t>();
}

std::span<const uint8_t> CborReader::ArrayBytes(std::string_view key, uint64_t tag,
                                                uint64_t bytes) {
  ExpectText(key);
  ExpectTag(tag);
  const std::span<const uint8_t> found = Bytes();
  if (found.size() != bytes) Fail(StrCat("wrong size of \"", key, "\""));
  return ok() ? found : std::span<const uint8_t>();
}

void CborReader::CopyBytes(void* to, std::span<const uint8_t> from) {
  std::memcpy(to, from.data(), from.size());
}

void CborReader::PadEntry(std::string_view key) {
  ExpectText(key);
  const std::span<const uint8_t> bytes = Bytes();
  if (!std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; }))
    Fail("padding is not zero");
}

}  // namespace vdb::format
