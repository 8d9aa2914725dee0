/// Text and binary input and output, and the type modifier.
#include "pg/pg.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "format/vector_text.h"
#include "pg/type/function.h"

namespace vdb::pg {
namespace {

// Reports what is wrong with `text`. Returns (Datum) 0 after a soft error.
template <class V>
Datum ReportTextError([[maybe_unused]] Node* context, const char* text,
                      const format::VectorText& parsed) {
  const char* const type = V::kTypeName;
  switch (parsed.error) {
    case format::VectorTextError::kNoOpeningBracket:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
               errmsg("invalid input syntax for type %s: \"%s\"", type, text),
               errdetail("Vector contents must start with \"[\".")));
    case format::VectorTextError::kSyntax:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
               errmsg("invalid input syntax for type %s: \"%s\"", type, text)));
    case format::VectorTextError::kNoElements:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_DATA_EXCEPTION), errmsg("%s must have at least 1 dimension", type)));
    case format::VectorTextError::kTooManyElements:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
               errmsg("%s cannot have more than %d dimensions", type, kMaxDim)));
    case format::VectorTextError::kOutOfRange:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
               errmsg("\"%.*s\" is out of range for type %s", static_cast<int>(parsed.token.size()),
                      parsed.token.data(), type)));
    case format::VectorTextError::kNan:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in %s", type)));
    case format::VectorTextError::kInfinite:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_DATA_EXCEPTION), errmsg("infinite value not allowed in %s", type)));
    case format::VectorTextError::kJunkAtEnd:
      ereturn(context, Datum{0},
              (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
               errmsg("invalid input syntax for type %s: \"%s\"", type, text),
               errdetail("Junk after closing right brace.")));
    case format::VectorTextError::kNone:
      break;
  }
  pg_unreachable();
}

// in(cstring, oid, int4)
template <class V>
Datum In(FunctionCallInfo fcinfo) {
  const char* const text = PG_GETARG_CSTRING(0);
  const int32 typmod = PG_GETARG_INT32(2);

  const size_t capacity = std::min(format::CountElements(text), kMaxDim);
  V* const result = NewVector<V>(static_cast<int>(capacity));
  const format::VectorText parsed = format::ParseVector(text, std::span(result->x, capacity));
  if (parsed.error != format::VectorTextError::kNone) {
    return ReportTextError<V>(fcinfo->context, text, parsed);
  }
  Assert(parsed.dim == result->dim);
  if (typmod != -1 && typmod != parsed.dim) {
    ereturn(fcinfo->context, Datum{0},
            (errcode(ERRCODE_DATA_EXCEPTION),
             errmsg("expected %d dimensions, not %d", typmod, parsed.dim)));
  }
  PG_RETURN_POINTER(result);
}

// out(V)
template <class V>
Datum Out(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  // FLOAT_SHORTEST_DECIMAL_LEN counts a terminator, whose place the comma takes.
  auto* const text =
      static_cast<char*>(palloc(static_cast<Size>(vector->dim) * FLOAT_SHORTEST_DECIMAL_LEN + 2));
  char* at = text;
  *at++ = '[';
  for (int i = 0; i < vector->dim; ++i) {
    if (i > 0) *at++ = ',';
    at += float_to_shortest_decimal_bufn(ToFloat(vector->x[i]), at);
  }
  *at++ = ']';
  *at = '\0';
  PG_RETURN_CSTRING(text);
}

// typmod_in(cstring[])
template <class V>
Datum TypmodIn(FunctionCallInfo fcinfo) {
  int count;
  const int32* const values = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &count);
  if (count != 1) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier")));
  }
  if (*values < 1) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("dimensions for type %s must be at least 1", V::kTypeName)));
  }
  if (*values > kMaxDim) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("dimensions for type %s cannot exceed %d", V::kTypeName, kMaxDim)));
  }
  PG_RETURN_INT32(*values);
}

// Network byte order, both ways.
float SwapBytes(float x) { return std::bit_cast<float>(pg_hton32(std::bit_cast<uint32>(x))); }
Half SwapBytes(Half x) { return {pg_hton16(x.bits)}; }

// recv(internal, oid, int4)
template <class V>
Datum Receive(FunctionCallInfo fcinfo) {
  auto* const message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
  const int32 typmod = PG_GETARG_INT32(2);

  const auto dim = static_cast<int16>(pq_getmsgint(message, sizeof(int16)));
  const auto unused = static_cast<int16>(pq_getmsgint(message, sizeof(int16)));
  CheckDim(V::kTypeName, dim);
  CheckExpectedDim(typmod, dim);
  if (unused != 0) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION), errmsg("expected unused to be 0, not %d", unused)));
  }

  V* const result = NewVector<V>(dim);
  const int bytes = dim * static_cast<int>(sizeof(typename V::Element));
  std::memcpy(result->x, pq_getmsgbytes(message, bytes), static_cast<size_t>(bytes));
  for (int i = 0; i < dim; ++i) {
    result->x[i] = SwapBytes(result->x[i]);
    CheckElement(V::kTypeName, ToFloat(result->x[i]));
  }
  PG_RETURN_POINTER(result);
}

// send(V)
template <class V>
Datum Send(FunctionCallInfo fcinfo) {
  const V* const vector = DatumGetVector<V>(PG_GETARG_DATUM(0));
  StringInfoData message;
  pq_begintypsend(&message);
  pq_sendint16(&message, static_cast<uint16>(vector->dim));
  pq_sendint16(&message, static_cast<uint16>(vector->unused));
  const int bytes = vector->dim * static_cast<int>(sizeof(typename V::Element));
  enlargeStringInfo(&message, bytes);
  for (int i = 0; i < vector->dim; ++i) {
    const typename V::Element swapped = SwapBytes(vector->x[i]);
    std::memcpy(message.data + message.len, &swapped, sizeof(swapped));
    message.len += static_cast<int>(sizeof(swapped));
  }
  PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

}  // namespace

VDB_BOTH_TYPES(in, In)
VDB_BOTH_TYPES(out, Out)
VDB_BOTH_TYPES(typmod_in, TypmodIn)
VDB_BOTH_TYPES(recv, Receive)
VDB_BOTH_TYPES(send, Send)

}  // namespace vdb::pg
