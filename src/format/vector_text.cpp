#include "format/vector_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace vdb::format {
namespace {

// C's isspace in the C locale, whatever the process's locale is.
bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

const char* SkipBlanks(const char* at) {
  while (IsBlank(*at)) ++at;
  return at;
}

// Reads one number as strtof does and returns the end of it, or `at` where there is none.
// from_chars is several times faster but knows no plus sign and no hexadecimal, and gives no value
// out of range, so those go to strtof.
const char* ReadNumber(const char* at, const char* end, float* value) {
  const auto [stop, error] = std::from_chars(at, end, *value);
  if (error == std::errc() && *stop != 'x' && *stop != 'X') return stop;
  char* strtof_stop = nullptr;
  *value = std::strtof(at, &strtof_stop);
  return strtof_stop;
}

bool StoreElement(float value, float* out) {
  *out = value;
  return true;
}

// False when a finite value rounds to infinity.
bool StoreElement(float value, Half* out) {
  *out = FloatToHalf(value);
  return !std::isinf(HalfToFloat(*out)) || std::isinf(value);
}

// strtof returns infinity both for "inf" and for "4e38"; only a number has a digit first.
bool NamesInfinity(const char* at) {
  if (*at == '+' || *at == '-') ++at;
  return *at == 'i' || *at == 'I';
}

template <class Element>
VectorText Parse(std::string_view text, std::span<Element> out) {
  using enum VectorTextError;
  const char* const end = text.data() + text.size();
  const char* at = SkipBlanks(text.data());
  if (*at != '[') return {kNoOpeningBracket, 0, {}};
  at = SkipBlanks(at + 1);
  if (*at == ']') return {kNoElements, 0, {}};

  int dim = 0;
  for (;;) {
    if (static_cast<size_t>(dim) == out.size()) return {kTooManyElements, dim, {}};
    at = SkipBlanks(at);
    float value = 0;
    const char* const stop = ReadNumber(at, end, &value);
    if (stop == at) return {kSyntax, dim, {}};
    if ((std::isinf(value) && !NamesInfinity(at)) || !StoreElement(value, &out[dim])) {
      return {kOutOfRange, dim, std::string_view(at, stop)};
    }
    if (std::isnan(value)) return {kNan, dim, {}};
    if (std::isinf(value)) return {kInfinite, dim, {}};
    ++dim;
    at = SkipBlanks(stop);
    if (*at == ']') break;
    if (*at != ',') return {kSyntax, dim, {}};
    ++at;
  }
  if (*SkipBlanks(at + 1) != '\0') return {kJunkAtEnd, dim, {}};
  return {kNone, dim, {}};
}

}  // namespace

int CountElements(std::string_view text) {
  const auto commas = std::count(text.begin(), text.end(), ',');
  return static_cast<int>(std::min<decltype(commas)>(commas, std::numeric_limits<int>::max() - 1)) +
         1;
}

VectorText ParseVector(std::string_view text, std::span<float> out) { return Parse(text, out); }
VectorText ParseVector(std::string_view text, std::span<Half> out) { return Parse(text, out); }

}  // namespace vdb::format
