// What each customer's cheapest swap loses, and who is near to one.  See ptofa_gpu/ops/swaps.py.
#include "compact.cuh"
#include "reduced.cuh"

#include "swaps.cuh"

// F <= N: one thread a customer.
template <int N>
__device__ __forceinline__ double margin_in_registers(const Customers& c, const Lookup<N>& lookup, const short* chosen,
                                                      int k, i64 u) {
  unsigned held = 0u;
  bool has_empty = false;
  for (int j = 0; j < k; ++j) {
    const int fund = chosen[u * k + j];
    if (fund >= 0) held |= 1u << fund;
    has_empty |= fund == rows::EMPTY;
  }
  const unsigned open = lookup.eligible(c, u) & ~held;
  float row[N];
  lookup.read(c, u, row);
  rows::CheapestSwap<double> swap(infinity());
#pragma unroll
  for (int f = 0; f < N; ++f) {
    const double value = lookup.value(c, row, f);
    swap.hold(((held >> f) & 1u) != 0u, value);
    swap.could_have(((open >> f) & 1u) != 0u, value);
  }
  return swap.loss(has_empty);
}

// F <= 1024: one warp a customer; lane i knows which of the funds 32 i ... 32 i + 31 are held.
__device__ __forceinline__ double margin_of_warp(const Customers& c, const short* chosen, int k, i64 u, int lane) {
  unsigned held = 0u;
  bool has_empty = false;
  for (int j = 0; j < k; ++j) {
    const int fund = chosen[u * k + j];
    if (fund >= 0 && fund >> 5 == lane) held |= 1u << (fund & 31);
    has_empty |= fund == rows::EMPTY;
  }
  rows::CheapestSwap<double> swap(infinity());
  for (int base = 0; base < c.funds; base += 32) {
    const unsigned word = __shfl_sync(WHOLE_WARP, held, base >> 5);
    const int f = base + lane;
    const bool is_held = ((word >> lane) & 1u) != 0u;
    if (f < c.funds && (is_held || c.sees(u, f))) {
      swap.hold(is_held, c.value(u, f));
      swap.could_have(!is_held, c.value(u, f));
    }
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) {
    swap.hold(true, __shfl_xor_sync(WHOLE_WARP, swap.given, step));
    swap.could_have(true, __shfl_xor_sync(WHOLE_WARP, swap.got, step));
  }
  return swap.loss(has_empty);
}

#define SWAP_PARAMETERS                                                                                               \
  const float *revenue, const signed char *tolerance, const signed char *risk, const u64 *mask, int words, int funds, \
      const double *offset, double scale, const short *chosen, int k, i64 rows
#define SWAP_CUSTOMERS \
  const Customers c { revenue, tolerance, risk, mask, words, funds, offset, scale }

// margin[i] of every step-th customer.
#define SWAP_MARGINS(N, LAUNCH)                                                                   \
  extern "C" __global__ void LAUNCH swap_margins_##N(SWAP_PARAMETERS, i64 step, double* margin) { \
    SWAP_CUSTOMERS;                                                                               \
    __shared__ Lookup<N> lookup;                                                                  \
    lookup.fill(c);                                                                               \
    const i64 stride = (i64)gridDim.x * blockDim.x;                                               \
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride)               \
      margin[i] = margin_in_registers<N>(c, lookup, chosen, k, i * step);                         \
  }
SWAP_MARGINS(8, __launch_bounds__(256))
SWAP_MARGINS(16, __launch_bounds__(256))
SWAP_MARGINS(32, __launch_bounds__(128))

extern "C" __global__ void __launch_bounds__(256) swap_margins_wide(SWAP_PARAMETERS, i64 step, double* margin) {
  SWAP_CUSTOMERS;
  const int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  for (i64 i = (i64)blockIdx.x * warps + (threadIdx.x >> 5); i < rows; i += (i64)gridDim.x * warps) {
    const double found = margin_of_warp(c, chosen, k, i * step, lane);
    if (lane == 0) margin[i] = found;
  }
}

// Marks the customers whose cheapest swap loses at most theta; a warp has 32 of them at a time.
template <int N>
__device__ __forceinline__ void near_in_registers(const Customers& c, const short* chosen, int k, i64 rows,
                                                  double theta, unsigned* marks, u64* in_tile) {
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const int lane = threadIdx.x & 31;
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 base = (i64)blockIdx.x * blockDim.x + threadIdx.x - lane; base < rows; base += stride) {
    const i64 u = base + lane;
    const bool near = u < rows && margin_in_registers<N>(c, lookup, chosen, k, u) <= theta;
    mark_rows(in_tile, marks, base >> 5, __ballot_sync(WHOLE_WARP, near));
  }
}

#define NEAR(N, LAUNCH)                                                                                      \
  extern "C" __global__ void LAUNCH near_##N(SWAP_PARAMETERS, double theta, unsigned* marks, u64* in_tile) { \
    SWAP_CUSTOMERS;                                                                                          \
    near_in_registers<N>(c, chosen, k, rows, theta, marks, in_tile);                                         \
  }
NEAR(8, __launch_bounds__(256))
NEAR(16, __launch_bounds__(256))
NEAR(32, __launch_bounds__(128))

extern "C" __global__ void __launch_bounds__(256)
    near_wide(SWAP_PARAMETERS, double theta, unsigned* marks, u64* in_tile) {
  SWAP_CUSTOMERS;
  const int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  const i64 groups = (rows + 31) / 32;
  for (i64 group = (i64)blockIdx.x * warps + (threadIdx.x >> 5); group < groups; group += (i64)gridDim.x * warps) {
    unsigned bits = 0u;
    for (int i = 0; i < 32 && 32 * group + i < rows; ++i)
      bits |= (unsigned)(margin_of_warp(c, chosen, k, 32 * group + i, lane) <= theta) << i;
    mark_rows(in_tile, marks, group, bits);
  }
}
