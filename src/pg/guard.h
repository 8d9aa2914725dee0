/// The wall between C++ exceptions and PostgreSQL's longjmp. Nothing else in the project says
/// sigsetjmp.
///
/// Entry: the body of every function PostgreSQL calls. Call: around every PostgreSQL function that
/// can ereport while a C++ object with a destructor is alive in the same or a calling frame. An
/// ERROR inside Call becomes the exception ErrorPending, unwinds to Entry and goes on as the same
/// ERROR; a C++ exception becomes one at Entry.
#pragma once

#include <csetjmp>
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "base/status.h"
#include "pg/pg.h"

namespace vdb::pg {

/// An ERROR is on PostgreSQL's error stack; Entry rethrows it.
struct ErrorPending {};

/// A failed Status travelling to Entry.
struct StatusError {
  Status status;
};

/// Raises a failed Status as an ERROR. Only where no C++ object with a destructor is alive but
/// `status`, which it frees; elsewhere throw StatusError (ThrowIfError).
[[noreturn]] void RaiseStatus(Status&& status);

inline void ThrowIfError(Status status) {
  if (!status.ok()) throw StatusError{std::move(status)};
}

namespace internal {
/// What Entry caught, in memory that needs no destructor.
struct Caught {
  enum Kind { kNone, kPending, kStatus, kNoMemory, kException } kind = kNone;
  Code code = Code::kInternal;
  char message[512], detail[512], hint[256];  // set when kind is kStatus; message for kException
};

/// Puts PostgreSQL's handler stacks back when Call's frame ends, also by a C++ exception.
struct HandlerStacks {
  sigjmp_buf* const exceptions = PG_exception_stack;
  ErrorContextCallback* const contexts = error_context_stack;
  ~HandlerStacks() {
    PG_exception_stack = exceptions;
    error_context_stack = contexts;
  }
};
void CopyStatus(const Status& status, Caught* caught) noexcept;
/// Goes on with the ERROR. Called when no C++ object with a destructor is alive in Entry's frame.
[[noreturn]] void Raise(const char* function, const Caught& caught);
}  // namespace internal

/// Runs `body` for PostgreSQL. Returns what it returns.
template <class Body>
auto Entry(const char* function, Body&& body) -> decltype(body()) {
  internal::Caught caught;
  try {
    return body();
  } catch (const ErrorPending&) {
    caught.kind = internal::Caught::kPending;
  } catch (const StatusError& error) {
    internal::CopyStatus(error.status, &caught);
  } catch (const std::bad_alloc&) {
    caught.kind = internal::Caught::kNoMemory;
  } catch (const std::exception& error) {
    caught.kind = internal::Caught::kException;
    strlcpy(caught.message, error.what(), sizeof(caught.message));
  } catch (...) {
    caught.kind = internal::Caught::kException;
    strlcpy(caught.message, "unknown C++ exception", sizeof(caught.message));
  }
  internal::Raise(function, caught);
}

/// Runs `body`, which may ereport and holds only trivially destructible locals. Throws ErrorPending
/// on an ERROR.
template <class Body>
auto Call(Body&& body) -> decltype(body()) {
  using Value = decltype(body());
  static_assert(std::is_void_v<Value> || std::is_trivially_destructible_v<Value>);
  const internal::HandlerStacks stacks;
  const MemoryContext saved_memory = CurrentMemoryContext;
  // errfinish zeroes the holdoff counts; an LWLock guard that unwinds past here would take them
  // below zero.
  const uint32 saved_interrupts = InterruptHoldoffCount;
  const uint32 saved_cancel = QueryCancelHoldoffCount;
  sigjmp_buf local;
  if (sigsetjmp(local, 0) == 0) {
    PG_exception_stack = &local;
    return body();
  }
  MemoryContextSwitchTo(saved_memory);
  InterruptHoldoffCount = saved_interrupts;
  QueryCancelHoldoffCount = saved_cancel;
  throw ErrorPending{};
}

/// Runs `body`, which may throw as under Entry, in a subtransaction. Null: it went through. Else
/// what it changed is undone, and this is its ERROR, in the current memory context. Not in parallel
/// mode, where PostgreSQL starts no subtransaction.
template <class Body>
ErrorData* Attempt(const char* function, Body&& body) {
  const MemoryContext memory = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  Call([&] { BeginInternalSubTransaction(nullptr); });
  MemoryContextSwitchTo(memory);
  bool failed = false;
  try {
    Call([&] { Entry(function, body); });
  } catch (const ErrorPending&) {
    failed = true;
  }
  return Call([&] {
    ErrorData* error = nullptr;
    if (failed) {
      error = CopyErrorData();
      FlushErrorState();
      RollbackAndReleaseCurrentSubTransaction();
    } else {
      ReleaseCurrentSubTransaction();
    }
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
    return error;
  });
}

/// Places a T in `context`, destroyed when the context is reset or deleted (also on abort).
template <class T, class... Args>
T* New(MemoryContext context, Args&&... args) {
  struct Holder {
    MemoryContextCallback callback;
    alignas(T) char bytes[sizeof(T)];
  };
  static_assert(alignof(Holder) <= MAXIMUM_ALIGNOF, "allocate over-aligned members on the heap");
  auto* holder =
      Call([&] { return static_cast<Holder*>(MemoryContextAlloc(context, sizeof(Holder))); });
  T* object = new (holder->bytes) T(std::forward<Args>(args)...);
  holder->callback.func = [](void* arg) noexcept { static_cast<T*>(arg)->~T(); };
  holder->callback.arg = object;
  MemoryContextRegisterResetCallback(context, &holder->callback);
  return object;
}

}  // namespace vdb::pg
