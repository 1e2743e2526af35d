// What a kernel, compiled for the CPU, and the runtime that executes it know of each other.
//
// Every CUDA thread of a block is a fiber: an own stack, run until it waits at a barrier or a warp collective. One
// block runs at a time, on one thread of the operating system, so nothing here is atomic or locked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>

#include "vector_types.hpp"

#define CUDA_ON_CPU_API __attribute__((visibility("default")))

namespace cuda_on_cpu {

using Place = std::source_location;

struct Thread {
  uint3 index;
  unsigned linear;  // x fastest, as CUDA numbers the threads of a block into warps
  unsigned lane() const { return linear & 31; }
};

// What the lanes of one warp bring to a collective: taken together when the last one has come.
struct Gathering {
  unsigned present;     // lanes of the mask that exist and have not returned from the kernel
  uint64_t value[32];
  unsigned source[32];
};
using Answer = uint64_t (*)(const Gathering&, unsigned lane);

extern CUDA_ON_CPU_API Thread* current;
extern CUDA_ON_CPU_API uint3 block_index;
extern CUDA_ON_CPU_API dim3 block_size, grid_size;

// A wait for all threads of the block; low 16 bits: how many brought a true predicate, bit 16: whether all did.
CUDA_ON_CPU_API int barrier(const char* what, int predicate, const Place& at);
CUDA_ON_CPU_API uint64_t collective(const char* what, unsigned mask, uint64_t value, unsigned source, Answer answer,
                                    const Place& at);
CUDA_ON_CPU_API unsigned converged_lanes(const void* call_site);
CUDA_ON_CPU_API void yield();
CUDA_ON_CPU_API void* dynamic_shared();
CUDA_ON_CPU_API void note_atomic(const void* address, size_t bytes);
[[noreturn]] CUDA_ON_CPU_API void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// One kernel as the module's table lists it.
struct Kernel {
  const char* name;
  void (*invoke)(const Kernel&, void** arguments);
  void (*function)();
  unsigned max_threads;   // of __launch_bounds__, 0 where there is none
  const char* parameters; // one word a parameter, see signature.hpp
};

// A stretch of memory that the launch may touch: an argument's array.
struct Region {
  uintptr_t begin, end;
  int argument;
  int writable;
};

struct Launch {
  unsigned grid[3], block[3];
  size_t shared_bytes;
  int order;               // 0 forward, 1 reverse, 2 random
  unsigned seed;
  double seconds;          // processor time after which the launch is stopped
  const Region* regions;
  size_t region_count;
  int check_races;
};

// Null, or what went wrong.
const char* launch(const Kernel& kernel, const Launch& how, void** arguments);

}  // namespace cuda_on_cpu
