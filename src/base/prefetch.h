/// Prefetch: asks for memory ahead of its use. Any address will do; nothing is ever faulted in.
#pragma once

#include <cstddef>

#include "base/aligned.h"

namespace vdb {

inline void Prefetch(const void* from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += kCacheLine) {
    __builtin_prefetch(static_cast<const char*>(from) + i);
  }
  // Without this g++ 12 takes a function that does nothing but prefetch for pure, and drops the
  // calls.
  asm volatile("");
}

}  // namespace vdb
