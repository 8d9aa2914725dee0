/// S5Upload: one object to a node: as a form with one file, or by tus in pieces.
#pragma once

#include <string>
#include <vector>

#include "store/exchange.h"
#include "store/s5.h"

namespace vdb::store {

class S5Upload : public Exchange {
 public:
  S5Upload(const S5Store* store, ObjectRef ref, std::vector<uint8_t> bytes);

  Result<std::optional<HttpRequest>> Next(const HttpReply* last) override;
  bool Expects(const HttpReply& reply) const override;

 private:
  enum class Step : uint8_t { kStart, kForm, kCreate, kPiece, kOffset, kPin };

  Status Error(Code code, const char* what) const;
  HttpRequest Form();
  HttpRequest Create();
  HttpRequest Piece();
  uint64_t PieceBytes() const;
  HttpRequest AskOffset();
  std::optional<HttpRequest> End(bool pin);
  Status CheckAnswer(const std::string& body) const;

  const S5Store* store_;
  ObjectRef ref_;
  std::vector<uint8_t> bytes_;
  Step step_ = Step::kStart;
  std::string location_;  // of the upload in pieces
  uint64_t offset_ = 0;
  int resumed_ = 0;
};

}  // namespace vdb::store
