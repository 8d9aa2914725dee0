/// StrCat: pieces of text and numbers to one string (g++ 12 has no <format>).
#pragma once

#include <sstream>
#include <string>

namespace vdb {

template <class... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace vdb
