#include "store/json_fields.h"

namespace vdb::store {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  void SkipBlanks() {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size()));
  }
  bool Take(char c) {
    SkipBlanks();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeString(std::string* value) {
    value->clear();
    if (!Take('"')) return false;
    while (!text_.empty()) {
      char c = text_.front();
      text_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\') {
        constexpr std::string_view kEscaped = "\"\\/";
        if (text_.empty() || kEscaped.find(text_.front()) == std::string_view::npos) return false;
        c = text_.front();
        text_.remove_prefix(1);
      }
      *value += c;
    }
    return false;
  }
  bool TakeWord(std::string* value) {
    SkipBlanks();
    const size_t end = std::min(text_.find_first_of(",} \t\r\n"), text_.size());
    *value = text_.substr(0, end);
    text_.remove_prefix(end);
    constexpr std::string_view kLetters = "0123456789+-.eEtrufalsn";
    return !value->empty() && value->find_first_not_of(kLetters) == std::string::npos;
  }
  bool AtString() {
    SkipBlanks();
    return text_.starts_with('"');
  }
  bool AtEnd() {
    SkipBlanks();
    return text_.empty();
  }

 private:
  std::string_view text_;
};

}  // namespace

Result<std::map<std::string, std::string>> ReadJsonFields(std::string_view document) {
  std::map<std::string, std::string> fields;
  Reader reader(document);
  bool well_formed = reader.Take('{');
  if (well_formed && !reader.Take('}')) {
    do {
      std::string name, value;
      well_formed = reader.TakeString(&name) && reader.Take(':') &&
                    (reader.AtString() ? reader.TakeString(&value) : reader.TakeWord(&value));
      fields[name] = value;
    } while (well_formed && reader.Take(','));
    well_formed = well_formed && reader.Take('}');
  }
  if (!well_formed || !reader.AtEnd()) return Corruption("malformed JSON");
  return fields;
}

}  // namespace vdb::store
