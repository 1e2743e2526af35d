// CUDA C++ as C++20: included in front of a kernel's text, it gives every name of the language that the kernel may use a
// meaning on the CPU. Left out on purpose are the approximate functions (__expf, __logf, __fdividef, rsqrtf ...): their
// bits are the GPU's own, so no CPU twin could be compared with a kernel that calls them.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "runtime.hpp"
#include "signature.hpp"
#include "vector_types.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
// Thread-local, so that shared memory lies apart from all else and can be poisoned: see runtime/shared.cpp.
#define __shared__ static thread_local

#define threadIdx (cuda_on_cpu::current->index)
#define blockIdx (cuda_on_cpu::block_index)
#define blockDim (cuda_on_cpu::block_size)
#define gridDim (cuda_on_cpu::grid_size)
inline constexpr int warpSize = 32;

#undef assert
#define assert(condition) \
  ((condition) ? (void)0 : cuda_on_cpu::fail("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition))
#define __builtin_assume(condition) \
  ((condition) ? (void)0 : cuda_on_cpu::fail("%s:%d: assumed, but not so: %s", __FILE__, __LINE__, #condition))
inline void __trap() { cuda_on_cpu::fail("__trap"); }

#include "arithmetic.hpp"
#include "atomics.hpp"
#include "warp.hpp"
