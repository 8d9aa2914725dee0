/// The text form of `vector` and `halfvec`: `[1,2.5,-3e-2]`, blanks allowed around brackets,
/// numbers and commas. Reads what pgvector reads and refuses what it refuses, in the same order.
/// Thread-safe; no allocation.
#pragma once

#include <span>
#include <string_view>

#include "base/half.h"

namespace vdb::format {

enum class VectorTextError {
  kNone,
  kNoOpeningBracket,  // the first non-blank is not "["
  kSyntax,            // not a number, no comma, or no closing bracket
  kNoElements,        // "[]"
  kTooManyElements,   // more than out.size()
  kOutOfRange,        // `token` overflows the element type (underflow gives 0)
  kNan,
  kInfinite,
  kJunkAtEnd,  // anything but blanks after "]"
};

struct VectorText {
  VectorTextError error = VectorTextError::kNone;
  int dim = 0;             // elements written to out
  std::string_view token;  // kOutOfRange: the number as written
};

/// The number of elements of a well-formed `text`; an upper bound of it for any other.
int CountElements(std::string_view text);

/// Parses `text` into `out`. Overflow is judged after rounding to the element type.
///
/// Pre: text.data()[text.size()] == '\0' (what the C library's strtof wants).
VectorText ParseVector(std::string_view text, std::span<float> out);
VectorText ParseVector(std::string_view text, std::span<Half> out);

}  // namespace vdb::format
