// How large E is where it can matter.  See ptofa_gpu/ops/largest.py.
#include "largest.cuh"

#include "common.cuh"

// top[0]: the largest bits of |E| over pairs that can be chosen (within the limits, of customers with slots and funds
// with a quota), top[1]: over all pairs within the limits. Bits of sizes sort as the sizes do, NaN above infinity.
extern "C" __global__ void __launch_bounds__(256)
    largest(const float* revenue, const signed char* tolerance, const signed char* risk, const u64* mask, int words,
            const signed char* slots, const unsigned char* wanted, i64 rows, int funds, unsigned* top) {
  const i64 stride = (i64)gridDim.x * blockDim.x, pairs = rows * funds;
  unsigned chosen = 0u, seen = 0u;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += stride) {
    const i64 u = i / funds;
    const int f = (int)(i - u * funds);
    if (!may_see(tolerance, risk, mask, words, u, f)) continue;
    const unsigned size = rows::size_of(__float_as_uint(revenue[i]));
    seen = rows::larger(seen, size);
    if (wanted[f] && (slots == nullptr || slots[u] > 0)) chosen = rows::larger(chosen, size);
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) {
    chosen = rows::larger(chosen, __shfl_xor_sync(0xffffffffu, chosen, step));
    seen = rows::larger(seen, __shfl_xor_sync(0xffffffffu, seen, step));
  }
  if ((threadIdx.x & 31) == 0) {
    atomicMax(&top[0], chosen);
    atomicMax(&top[1], seen);
  }
}
