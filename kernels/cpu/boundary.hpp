// The boundary between Python and the engine: C functions that take one struct of 8-byte fields and return a status.
//
// An operation states its fields once here, as in ptofa_gpu/ops/NAME.py; the two lists are compared when the library is
// loaded. No exception leaves an entry, and the floating-point mode of the caller is put back.
#pragma once
#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>

namespace ptofa {

using in_f32 = const float*;
using in_f64 = const double*;
using in_i8 = const int8_t*;
using in_i16 = const int16_t*;
using in_i32 = const int32_t*;
using in_i64 = const int64_t*;
using in_u8 = const uint8_t*;
using in_u32 = const uint32_t*;
using in_u64 = const uint64_t*;
using out_f32 = float*;
using out_f64 = double*;
using out_i8 = int8_t*;
using out_i16 = int16_t*;
using out_i32 = int32_t*;
using out_i64 = int64_t*;
using out_u8 = uint8_t*;
using out_u32 = uint32_t*;
using out_u64 = uint64_t*;
using f64 = double;
using i64 = int64_t;

static_assert(sizeof(void*) == 8, "fields of 8 bytes hold addresses");

enum Status : int { DONE = 0, OUT_OF_MEMORY = 1, FAILED = 2 };

void keep_message(const char* text) noexcept;  // for `ptofa_message`, of this thread

// Round to nearest, subnormal numbers kept, no traps: whatever other libraries have set in this thread.
class PlainFloats {
 public:
  PlainFloats() noexcept { std::feholdexcept(&before_), std::fesetenv(FE_DFL_ENV); }
  ~PlainFloats() { std::fesetenv(&before_); }
  PlainFloats(const PlainFloats&) = delete;
  PlainFloats& operator=(const PlainFloats&) = delete;

 private:
  std::fenv_t before_;
};

template <class Work>
int guarded(Work work) noexcept {
  const PlainFloats mode;
  try {
    work();
    return DONE;
  } catch (const std::bad_alloc&) {
    keep_message("no more memory could be had");
    return OUT_OF_MEMORY;
  } catch (const std::length_error&) {  // a vector larger than any memory
    keep_message("no memory is that large");
    return OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    keep_message(error.what());
    return FAILED;
  } catch (...) {
    keep_message("an unknown exception");
    return FAILED;
  }
}

}  // namespace ptofa

#define PTOFA_API extern "C" __attribute__((visibility("default")))
#define PTOFA_FIELD(type, name) type name;
#define PTOFA_TEXT(type, name) #type " " #name ";"

// PTOFA_ENTRY(NAME, FIELDS) makes `struct NAME`, what says how it is laid out, and the entry, whose work is
// `void run(const NAME&)`.
#define PTOFA_ENTRY(NAME, FIELDS)                                                       \
  namespace ptofa {                                                                     \
  struct NAME {                                                                         \
    FIELDS(PTOFA_FIELD)                                                                 \
  };                                                                                    \
  static_assert(sizeof(NAME) % 8 == 0);                                                 \
  static void run(const NAME& a);                                                       \
  }                                                                                     \
  PTOFA_API const char* ptofa_##NAME##_fields() noexcept { return FIELDS(PTOFA_TEXT); } \
  PTOFA_API int ptofa_##NAME(const ptofa::NAME* a) noexcept {                           \
    return ptofa::guarded([a] { ptofa::run(*a); });                                     \
  }
