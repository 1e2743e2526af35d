// The functions that code compiled with -fsanitize=undefined calls when it meets undefined behaviour. In place of the
// compiler's runtime, which prints or ends the process, these end the launch with a message that has file and line.
// The records the compiler passes begin with the source location; only what the messages need is declared here.
#include "block.hpp"

namespace {

struct Location {
  const char* file;
  uint32_t line, column;
};
struct Type {
  uint16_t kind, info;
  char name[];
};
struct Record {
  Location at;
  const Type* type;
  const Type* other;
};
struct Access {
  Location at;
  const Type* type;
  uint8_t log_alignment, kind;
};
struct FloatCastWithoutPlace {
  const Type *from, *to;
};

long long number(const Type* type, uintptr_t value) {
  const unsigned bits = 1u << (type->info >> 1);
  const bool is_signed = type->info & 1;
  if (bits >= 64) return static_cast<long long>(value);
  const uintptr_t low = value & ((uintptr_t(1) << bits) - 1);
  return is_signed && low >> (bits - 1) ? static_cast<long long>(low) - (1ll << bits) : static_cast<long long>(low);
}

#define PLACE(record) (record)->at.file, unsigned((record)->at.line), unsigned((record)->at.column)
#define HANDLER(event, parameters, ...)                                                   \
  extern "C" CUDA_ON_CPU_API void __ubsan_handle_##event parameters {                      \
    cuda_on_cpu::fail(__VA_ARGS__);                                                       \
  }                                                                                       \
  extern "C" CUDA_ON_CPU_API void __ubsan_handle_##event##_abort parameters {              \
    cuda_on_cpu::fail(__VA_ARGS__);                                                       \
  }
#define SIGNED_OVERFLOW(event, sign)                                                                                  \
  HANDLER(event, (const Record* r, uintptr_t a, uintptr_t b),                                                  \
          "%s:%u:%u: signed integer overflow: %lld " sign " %lld in %s", PLACE(r), number(r->type, a),         \
          number(r->type, b), r->type->name)

}  // namespace

HANDLER(out_of_bounds, (const Record* r, uintptr_t index), "%s:%u:%u: index %lld is out of bounds for %s", PLACE(r),
        number(r->other, index), r->type->name)
SIGNED_OVERFLOW(add_overflow, "+")
SIGNED_OVERFLOW(sub_overflow, "-")
SIGNED_OVERFLOW(mul_overflow, "*")
HANDLER(negate_overflow, (const Record* r, uintptr_t a), "%s:%u:%u: negation of %lld overflows %s", PLACE(r),
        number(r->type, a), r->type->name)
HANDLER(divrem_overflow, (const Record* r, uintptr_t, uintptr_t b), "%s:%u:%u: integer division of %s by %lld", PLACE(r),
        r->type->name, number(r->type, b))
HANDLER(shift_out_of_bounds, (const Record* r, uintptr_t a, uintptr_t b), "%s:%u:%u: %lld of %s shifted by %lld", PLACE(r),
        number(r->type, a), r->type->name, number(r->other, b))
HANDLER(builtin_unreachable, (const Record* r), "%s:%u:%u: reached what is declared unreachable", PLACE(r))
HANDLER(missing_return, (const Record* r), "%s:%u:%u: a function that returns a value ends without one", PLACE(r))
HANDLER(vla_bound_not_positive, (const Record* r, uintptr_t), "%s:%u:%u: an array's length is not positive", PLACE(r))
HANDLER(load_invalid_value, (const Record* r, uintptr_t v), "%s:%u:%u: %lld is not a value of %s", PLACE(r),
        number(r->type, v), r->type->name)
HANDLER(nonnull_arg, (const Record* r), "%s:%u:%u: null given where it may not be", PLACE(r))
HANDLER(invalid_builtin, (const Record* r), "%s:%u:%u: zero given to a bit-counting builtin", PLACE(r))
HANDLER(pointer_overflow, (const Record* r, uintptr_t, uintptr_t), "%s:%u:%u: pointer arithmetic overflows", PLACE(r))
HANDLER(type_mismatch_v1, (const Access* r, uintptr_t address),
        "%s:%u:%u: %s 0x%zx used as %s, which needs an alignment of %u bytes", PLACE(r),
        address ? "address" : "null pointer", size_t(address), r->type->name, 1u << r->log_alignment)

// g++ passes a record without a place here in some versions: then the first field points to a type, whose kind is 0, 1
// or 0xffff, and not to a file's name.
static void float_cast(const void* record) {
  const Type* first = static_cast<const FloatCastWithoutPlace*>(record)->from;
  if (first->kind <= 1 || first->kind == 0xffff) {
    const auto* r = static_cast<const FloatCastWithoutPlace*>(record);
    cuda_on_cpu::fail("a value of %s is outside the range of %s it is converted to", r->from->name, r->to->name);
  }
  const auto* r = static_cast<const Record*>(record);
  cuda_on_cpu::fail("%s:%u:%u: a value of %s is outside the range of %s it is converted to", PLACE(r), r->type->name,
                    r->other->name);
}
extern "C" CUDA_ON_CPU_API void __ubsan_handle_float_cast_overflow(const void* r, uintptr_t) { float_cast(r); }
extern "C" CUDA_ON_CPU_API void __ubsan_handle_float_cast_overflow_abort(const void* r, uintptr_t) { float_cast(r); }
