// Which thread touched which byte last: finds two threads that touch the same byte, at least one of them writing and
// not both by an atomic, with nothing between them that puts one before the other; and reads of shared memory that no
// thread of the block has written. Code compiled with -fsanitize=thread calls the functions below at every access; the
// compiler's own runtime for that switch, which knows threads of the operating system only, is not linked.
//
// Ordered are: accesses of one thread; of one block before and after a __syncthreads; of one warp before and after a
// __syncwarp (votes and shuffles promise nothing about memory). Different blocks are never ordered within a launch, so a kernel that hands data from block to block by
// __threadfence and an atomic counter is reported although it may be right.
#include <sys/mman.h>

#include <cstdlib>
#include <vector>

#include "block.hpp"

namespace cuda_on_cpu {
namespace {

struct Access {
  uint64_t block;     // number + 1; 0: nobody yet
  uint32_t thread, barriers, syncs;
  uint8_t is_atomic;
  uintptr_t code;
};

struct Cell {
  Access write, read, other_read;
};

// A byte's cell lies in a mapping whose pages appear when they are first written.
struct Shadow {
  Region memory;
  bool is_shared;
  Cell* cells;
};

std::vector<Shadow> shadows;

void add_shadow(const Region& memory, bool is_shared) {
  const size_t bytes = (memory.end - memory.begin) * sizeof(Cell);
  if (!bytes) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  shadows.push_back({memory, is_shared, static_cast<Cell*>(p)});
}

bool ordered(const Access& before, const Access& now, bool is_shared) {
  if (before.block != now.block) return is_shared;  // each block has shared memory of its own
  if (before.thread == now.thread || before.barriers < now.barriers) return true;
  return before.thread / 32 == now.thread / 32 && before.syncs < now.syncs;
}

[[noreturn]] void report(const Shadow& shadow, uintptr_t address, const char* first, const Access& before,
                         const char* second, const Access& now) {
  char what[64];
  if (shadow.is_shared)
    std::snprintf(what, sizeof what, "byte %zu of shared memory", size_t(address - shadow.memory.begin));
  else
    std::snprintf(what, sizeof what, "byte %zu of argument %d", size_t(address - shadow.memory.begin),
                  shadow.memory.argument);
  fail("race on %s: %s by thread %u of block %llu at @code:%zx@ and %s by thread %u of block %llu at @code:%zx@", what,
       first, before.thread, static_cast<unsigned long long>(before.block - 1), size_t(before.code), second, now.thread,
       static_cast<unsigned long long>(now.block - 1), size_t(now.code));
}

void touch(const void* pointer, size_t bytes, bool is_write, bool is_atomic, void* code) {
  if (!block.running || !block.how.check_races || !current) return;
  const auto begin = reinterpret_cast<uintptr_t>(pointer);
  for (Shadow& shadow : shadows) {
    if (begin < shadow.memory.begin || begin >= shadow.memory.end) continue;
    const Fiber* fiber = self();
    const Access now{block.number + 1, fiber->linear, fiber->barriers, fiber->syncs, is_atomic,
                     reinterpret_cast<uintptr_t>(code) - 1};
    for (uintptr_t a = begin; a < begin + bytes && a < shadow.memory.end; ++a) {
      Cell& cell = shadow.cells[a - shadow.memory.begin];
      const auto unordered = [&](const Access& before) {
        return before.block && !(before.is_atomic && is_atomic) && !ordered(before, now, shadow.is_shared);
      };
      if (shadow.is_shared && (!is_write || is_atomic) && cell.write.block != now.block)
        fail("byte %zu of shared memory is read at @code:%zx@ before any thread of the block has written it",
             size_t(a - shadow.memory.begin), size_t(now.code));
      if (unordered(cell.write)) report(shadow, a, "write", cell.write, is_write ? "write" : "read", now);
      if (is_write) {
        if (unordered(cell.read)) report(shadow, a, "read", cell.read, "write", now);
        if (unordered(cell.other_read)) report(shadow, a, "read", cell.other_read, "write", now);
        cell = {now, {}, {}};
      } else if (!cell.read.block || ordered(cell.read, now, shadow.is_shared)) {
        cell.read = now;
      } else {
        cell.other_read = now;
      }
    }
    return;
  }
}

}  // namespace

void races_begin_launch() {
  for (const Shadow& shadow : shadows)
    munmap(shadow.cells, (shadow.memory.end - shadow.memory.begin) * sizeof(Cell));
  shadows.clear();
  if (!block.how.check_races) return;
  for (size_t i = 0; i < block.how.region_count; ++i) add_shadow(block.how.regions[i], false);
  add_shadow(static_shared_region(), true);
  add_shadow(dynamic_shared_region(), true);
}

void note_atomic(const void* address, size_t bytes) {
  touch(address, bytes, true, true, __builtin_return_address(0));
}

}  // namespace cuda_on_cpu

#define HOOK(name, bytes, is_write)                                                                 \
  extern "C" CUDA_ON_CPU_API void __tsan_##name(void* p) {                                           \
    cuda_on_cpu::touch(p, bytes, is_write, false, __builtin_return_address(0));                      \
  }
#define HOOKS(bytes)                                                                                                   \
  HOOK(read##bytes, bytes, false)                                                                                      \
  HOOK(write##bytes, bytes, true)                                                                                      \
  HOOK(unaligned_read##bytes, bytes, false)                                                                            \
  HOOK(unaligned_write##bytes, bytes, true)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" CUDA_ON_CPU_API void __tsan_read_range(void* p, size_t n) {
  cuda_on_cpu::touch(p, n, false, false, __builtin_return_address(0));
}
extern "C" CUDA_ON_CPU_API void __tsan_write_range(void* p, size_t n) {
  cuda_on_cpu::touch(p, n, true, false, __builtin_return_address(0));
}
extern "C" CUDA_ON_CPU_API void __tsan_init() {}
extern "C" CUDA_ON_CPU_API void __tsan_func_entry(void*) {}
extern "C" CUDA_ON_CPU_API void __tsan_func_exit() {}
