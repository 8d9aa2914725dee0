/// Metric and ElementType: what an index measures, and over what. The numbers are on disk: never
/// renumber.
#pragma once

#include <cstdint>

namespace vdb {

enum class Metric : uint8_t {
  kL2 = 1,            // sqrt(sum (a-b)^2)
  kInnerProduct = 2,  // -sum a*b
  kCosine = 3,        // 1 - cos(a, b)
  kL1 = 4,            // sum |a-b|
};

enum class ElementType : uint8_t {
  kFloat32 = 1,  // vector
  kFloat16 = 2,  // halfvec
};

/// What SQL and manifests call it; null: it is none.
constexpr const char* NameOf(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return "l2";
    case Metric::kInnerProduct:
      return "ip";
    case Metric::kCosine:
      return "cosine";
    case Metric::kL1:
      return "l1";
  }
  return nullptr;
}

constexpr const char* NameOf(ElementType element) {
  switch (element) {
    case ElementType::kFloat32:
      return "vector";
    case ElementType::kFloat16:
      return "halfvec";
  }
  return nullptr;
}

}  // namespace vdb
