/// A module of its own that drives pg/guard.h from SQL; 002_guard.pl builds and loads it.
#include "pg/guard.h"

#include <stdexcept>

#include "pg/compat.h"

extern "C" {
PG_MODULE_MAGIC;
}

namespace vdb::pg {
namespace {

int alive = 0;

// Counts itself: what unwinding left behind is the difference to 0.
struct Counted {
  Counted() { ++alive; }
  ~Counted() { --alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

void RaiseInPostgres() {
  ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("raised in PostgreSQL"),
                  errdetail("its detail"), errhint("its hint")));
}

// An ERROR zeroes the holdoff counts; behind the guard they are what they were.
bool HoldoffCountsSurvive() {
  HOLD_INTERRUPTS();
  HOLD_CANCEL_INTERRUPTS();
  const uint32 interrupts = InterruptHoldoffCount;
  const uint32 cancels = QueryCancelHoldoffCount;
  bool same = false;
  try {
    Call([] { RaiseInPostgres(); });
  } catch (const ErrorPending&) {
    same = InterruptHoldoffCount == interrupts && QueryCancelHoldoffCount == cancels;
  }
  RESUME_CANCEL_INTERRUPTS();
  RESUME_INTERRUPTS();
  Call([] { FlushErrorState(); });
  return same;
}

// An exception that leaves Call leaves PostgreSQL's handler stack as it found it.
bool HandlerStackSurvives() {
  sigjmp_buf* const before = PG_exception_stack;
  try {
    Call([] { throw std::runtime_error("thrown in Call"); });
  } catch (const std::runtime_error&) {
  }
  return PG_exception_stack == before;
}

// What New places in a context is destroyed with the context.
bool ContextOwnsObject() {
  const int before = alive;
  const MemoryContext context = Call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "guard test", ALLOCSET_SMALL_SIZES);
  });
  New<Counted>(context);
  const bool made = alive == before + 1;
  Call([&] { MemoryContextDelete(context); });
  return made && alive == before;
}

Datum Run(const char* what) {
  const Counted counted;
  const std::string_view name(what);
  if (name == "value") return Int32GetDatum(Call([] { return 42; }));
  if (name == "ereport") Call([] { RaiseInPostgres(); });
  if (name == "nested") {
    const Counted inner;
    Call([] { DirectFunctionCall1(int4in, CStringGetDatum("x")); });
  }
  if (name == "status") {
    throw StatusError{Status(Code::kCorruption, "a %s message").WithDetail("d%d").WithHint("h%d")};
  }
  if (name == "bad_alloc") throw std::bad_alloc();
  if (name == "exception") throw std::runtime_error("its what()");
  if (name == "unknown") throw 1;
  if (name == "cancelled") ThrowIfError(Status(Code::kCancelled, "interrupted"));
  if (name == "holdoff") return Int32GetDatum(HoldoffCountsSurvive() ? 1 : 0);
  if (name == "handler") return Int32GetDatum(HandlerStackSurvives() ? 1 : 0);
  if (name == "context") return Int32GetDatum(ContextOwnsObject() ? 1 : 0);
  throw std::logic_error("no such case");
}

}  // namespace

VDB_FUNCTION(guard_run) {
  const char* const what = text_to_cstring(PG_GETARG_TEXT_PP(0));
  return Entry("guard_run", [&] { return Run(what); });
}

VDB_FUNCTION(guard_alive) { PG_RETURN_INT32(alive); }

VDB_FUNCTION(guard_code) { RaiseStatus(Status(static_cast<Code>(PG_GETARG_INT32(0)), "code")); }

}  // namespace vdb::pg
