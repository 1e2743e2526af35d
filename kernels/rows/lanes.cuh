// What row logic is written in.  A *lane* is one customer: on a GPU a thread has one lane, on a CPU a register has
// several side by side (vectors of GCC and clang).  `m ? a : b` selects in both; masks combine by & and |.
#pragma once

#ifdef __CUDACC__
#define PTOFA_FN __device__ __forceinline__
#define PTOFA_UNROLL _Pragma("unroll")
#else
#define PTOFA_FN inline __attribute__((always_inline))
#define PTOFA_UNROLL
#endif

namespace rows {

typedef long long i64;

constexpr int EMPTY = -1;   // what a plan holds in a slot that is open and empty
constexpr int CLOSED = -2;  // and in one that the customer does not have

template <class Lane>
PTOFA_FN Lane larger(Lane a, Lane b) {
  return a > b ? a : b;
}
template <class Lane>
PTOFA_FN Lane smaller(Lane a, Lane b) {
  return a < b ? a : b;
}

}  // namespace rows
