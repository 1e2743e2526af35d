// Atomics. One CUDA thread runs at a time, so a plain read, change and write is atomic; the race check is told apart.
#pragma once
#include <type_traits>

#include "runtime.hpp"

namespace cuda_on_cpu {

// Kept out of line and out of the compiler's instrumentation, so that the check sees one atomic access and not a read
// and a write.
#ifdef CUDA_ON_CPU_CHECK_RACES
#define CUDA_ON_CPU_ATOMIC __attribute__((noinline, no_sanitize("thread")))
#else
#define CUDA_ON_CPU_ATOMIC inline
#endif

template <class T, class Change> CUDA_ON_CPU_ATOMIC T read_modify_write(T* address, Change change) {
#ifdef CUDA_ON_CPU_CHECK_RACES
  note_atomic(address, sizeof(T));
#endif
  const T old = *address;
  *address = change(old);
  return old;
}

// Integers wrap, as they do on the GPU and as signed ones may not in C++.
template <class T> T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return T(std::make_unsigned_t<T>(a) + std::make_unsigned_t<T>(b));
  else
    return a + b;
}
template <class T> T negative(T a) {
  if constexpr (std::is_integral_v<T>)
    return T(std::make_unsigned_t<T>(0) - std::make_unsigned_t<T>(a));
  else
    return -a;
}

}  // namespace cuda_on_cpu

// The operand may convert to the type of what is pointed to, as with CUDA's overloads.
#define CUDA_ON_CPU_RMW(name, expression)                                                                        \
  template <class T> T name(T* address, std::type_identity_t<T> value) {                                         \
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "an atomic works on 4 or 8 bytes");                          \
    return cuda_on_cpu::read_modify_write(                                                                       \
        address, [&](T old) __attribute__((no_sanitize("thread"))) { return T(expression); });                   \
  }
CUDA_ON_CPU_RMW(atomicAdd, cuda_on_cpu::wrapping_add(old, value))
CUDA_ON_CPU_RMW(atomicSub, cuda_on_cpu::wrapping_add(old, cuda_on_cpu::negative(value)))
CUDA_ON_CPU_RMW(atomicMax, old < value ? value : old)
CUDA_ON_CPU_RMW(atomicMin, value < old ? value : old)
CUDA_ON_CPU_RMW(atomicAnd, old& value)
CUDA_ON_CPU_RMW(atomicOr, old | value)
CUDA_ON_CPU_RMW(atomicXor, old ^ value)
CUDA_ON_CPU_RMW(atomicExch, value)
CUDA_ON_CPU_RMW(atomicInc, old >= value ? 0 : old + 1)
CUDA_ON_CPU_RMW(atomicDec, old == 0 || old > value ? value : old - 1)
#undef CUDA_ON_CPU_RMW

template <class T> T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  return cuda_on_cpu::read_modify_write(
      address, [&](T old) __attribute__((no_sanitize("thread"))) { return old == expected ? desired : old; });
}
#define atomicAdd_block atomicAdd
#define atomicMax_block atomicMax
#define atomicMin_block atomicMin
#define atomicOr_block atomicOr
