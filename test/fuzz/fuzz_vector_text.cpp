// Text of vectors, as any SQL user may send it. What parses is finite, and prints to a text that
// parses to the same bits.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "format/vector_text.h"

namespace {

constexpr size_t kCapacity = 64;

void Require(bool condition) {
  if (!condition) std::abort();
}

float Value(float x) { return x; }
float Value(vdb::Half x) { return vdb::HalfToFloat(x); }

template <class Element>
void RoundTrip(const std::string& text) {
  using vdb::format::VectorTextError;
  std::array<Element, kCapacity> first;
  const vdb::format::VectorText parsed = vdb::format::ParseVector(text, std::span<Element>(first));
  Require(parsed.dim >= 0 && static_cast<size_t>(parsed.dim) <= kCapacity);
  if (parsed.error == VectorTextError::kOutOfRange) Require(!parsed.token.empty());
  std::string printed = "[";
  for (int i = 0; i < parsed.dim; ++i) {
    Require(std::isfinite(Value(first[i])));
    char digits[32];
    snprintf(digits, sizeof(digits), "%s%.9g", i > 0 ? "," : "", Value(first[i]));
    printed += digits;
  }
  printed += "]";
  if (parsed.error != VectorTextError::kNone) return;
  Require(parsed.dim >= 1 && parsed.dim <= vdb::format::CountElements(text));
  Require(vdb::format::CountElements(printed) == parsed.dim);
  std::array<Element, kCapacity> second;
  const vdb::format::VectorText again =
      vdb::format::ParseVector(printed, std::span<Element>(second));
  Require(again.error == VectorTextError::kNone && again.dim == parsed.dim);
  for (int i = 0; i < parsed.dim; ++i) {
    Require(std::bit_cast<uint32_t>(Value(first[i])) == std::bit_cast<uint32_t>(Value(second[i])));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  RoundTrip<float>(text);
  RoundTrip<vdb::Half>(text);
  return 0;
}
