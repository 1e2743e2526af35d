// Barriers, votes, shuffles, matches and reductions.
#pragma once
#include <cstring>
#include <type_traits>

#include "runtime.hpp"

namespace cuda_on_cpu {

template <class T> uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T> T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void require_width(int width, const Place& at) {
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail("%s:%u: a shuffle's width is a power of two up to 32, not %d", at.file_name(), unsigned(at.line()), width);
}

template <class T>
T shuffle(const char* what, unsigned mask, T value, unsigned source, const Place& at) {
  const Answer read_source = [](const Gathering& group, unsigned lane) { return group.value[group.source[lane]]; };
  return from_bits<T>(collective(what, mask, to_bits(value), source, read_source, at));
}

inline uint64_t everyone(const char* what, unsigned mask, uint64_t value, Answer answer, const Place& at) {
  return collective(what, mask, value, current->lane(), answer, at);
}

inline unsigned votes(const Gathering& group) {
  unsigned yes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((group.present >> lane & 1) && group.value[lane]) yes |= 1u << lane;
  return yes;
}

template <class T, class Combine> T reduce(const char* what, unsigned mask, T value, Combine, const Place& at) {
  const Answer fold = [](const Gathering& group, unsigned) {
    bool first = true;
    T total{};
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (!(group.present >> lane & 1)) continue;
      const T next = from_bits<T>(group.value[lane]);
      total = first ? next : Combine{}(total, next);
      first = false;
    }
    return to_bits(total);
  };
  return from_bits<T>(everyone(what, mask, to_bits(value), fold, at));
}

}  // namespace cuda_on_cpu

#define CUDA_ON_CPU_AT const cuda_on_cpu::Place &at = cuda_on_cpu::Place::current()

inline void __syncthreads(CUDA_ON_CPU_AT) { cuda_on_cpu::barrier("__syncthreads", 0, at); }
inline int __syncthreads_count(int predicate, CUDA_ON_CPU_AT) {
  return cuda_on_cpu::barrier("__syncthreads_count", predicate, at) & 0xffff;
}
inline int __syncthreads_and(int predicate, CUDA_ON_CPU_AT) {
  return cuda_on_cpu::barrier("__syncthreads_and", predicate, at) >> 16;
}
inline int __syncthreads_or(int predicate, CUDA_ON_CPU_AT) {
  return (cuda_on_cpu::barrier("__syncthreads_or", predicate, at) & 0xffff) != 0;
}

// One thread runs at a time and every write is seen at once: fences have nothing to do.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { cuda_on_cpu::yield(); }

inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_ON_CPU_AT) {
  cuda_on_cpu::everyone("__syncwarp", mask, 0, [](const cuda_on_cpu::Gathering&, unsigned) { return uint64_t(0); }, at);
}
__attribute__((noinline)) inline unsigned __activemask() {
  return cuda_on_cpu::converged_lanes(__builtin_return_address(0));
}

inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) {
  return unsigned(cuda_on_cpu::everyone("__ballot_sync", mask, predicate != 0, [](const cuda_on_cpu::Gathering& g, unsigned) {
    return uint64_t(cuda_on_cpu::votes(g));
  }, at));
}
inline int __any_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) {
  return int(cuda_on_cpu::everyone("__any_sync", mask, predicate != 0, [](const cuda_on_cpu::Gathering& g, unsigned) {
    return uint64_t(cuda_on_cpu::votes(g) != 0);
  }, at));
}
inline int __all_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) {
  return int(cuda_on_cpu::everyone("__all_sync", mask, predicate != 0, [](const cuda_on_cpu::Gathering& g, unsigned) {
    return uint64_t(cuda_on_cpu::votes(g) == g.present);
  }, at));
}

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_ON_CPU_AT) {
  cuda_on_cpu::require_width(width, at);
  const unsigned lane = cuda_on_cpu::current->lane(), w = unsigned(width) - 1;
  return cuda_on_cpu::shuffle("__shfl_sync", mask, value, (lane & ~w) | (unsigned(source) & w), at);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_AT) {
  cuda_on_cpu::require_width(width, at);
  const unsigned lane = cuda_on_cpu::current->lane(), w = unsigned(width) - 1;
  return cuda_on_cpu::shuffle("__shfl_up_sync", mask, value, (lane & w) >= delta ? lane - delta : lane, at);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_AT) {
  cuda_on_cpu::require_width(width, at);
  const unsigned lane = cuda_on_cpu::current->lane(), w = unsigned(width) - 1;
  const bool inside = delta <= w && (lane & w) + delta <= w;
  return cuda_on_cpu::shuffle("__shfl_down_sync", mask, value, inside ? lane + delta : lane, at);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, CUDA_ON_CPU_AT) {
  cuda_on_cpu::require_width(width, at);
  const unsigned lane = cuda_on_cpu::current->lane(), w = unsigned(width) - 1;
  const unsigned source = lane ^ unsigned(lanes);
  const bool inside = source <= (lane | w);  // earlier groups of lanes may be read, later ones not
  return cuda_on_cpu::shuffle("__shfl_xor_sync", mask, value, inside ? source : lane, at);
}

template <class T> unsigned __match_any_sync(unsigned mask, T value, CUDA_ON_CPU_AT) {
  return unsigned(cuda_on_cpu::everyone("__match_any_sync", mask, cuda_on_cpu::to_bits(value),
                                        [](const cuda_on_cpu::Gathering& g, unsigned lane) {
                                          uint64_t same = 0;
                                          for (unsigned i = 0; i < 32; ++i)
                                            if ((g.present >> i & 1) && g.value[i] == g.value[lane]) same |= 1u << i;
                                          return same;
                                        }, at));
}
template <class T> unsigned __match_all_sync(unsigned mask, T value, int* all_same, CUDA_ON_CPU_AT) {
  const auto same = unsigned(cuda_on_cpu::everyone("__match_all_sync", mask, cuda_on_cpu::to_bits(value),
                                                   [](const cuda_on_cpu::Gathering& g, unsigned lane) {
                                                     for (unsigned i = 0; i < 32; ++i)
                                                       if ((g.present >> i & 1) && g.value[i] != g.value[lane])
                                                         return uint64_t(0);
                                                     return uint64_t(g.present);
                                                   }, at));
  *all_same = same != 0;
  return same;
}

#define CUDA_ON_CPU_REDUCE(name, type, expression)                                                              \
  inline type name(unsigned mask, type value, CUDA_ON_CPU_AT) {                                                 \
    return cuda_on_cpu::reduce(#name, mask, value, [](type a, type b) { return type(expression); }, at);        \
  }
CUDA_ON_CPU_REDUCE(__reduce_add_sync, unsigned, a + b)
CUDA_ON_CPU_REDUCE(__reduce_add_sync, int, unsigned(a) + unsigned(b))
CUDA_ON_CPU_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
CUDA_ON_CPU_REDUCE(__reduce_min_sync, int, a < b ? a : b)
CUDA_ON_CPU_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
CUDA_ON_CPU_REDUCE(__reduce_max_sync, int, a > b ? a : b)
CUDA_ON_CPU_REDUCE(__reduce_and_sync, unsigned, a& b)
CUDA_ON_CPU_REDUCE(__reduce_or_sync, unsigned, a | b)
CUDA_ON_CPU_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
#undef CUDA_ON_CPU_REDUCE
