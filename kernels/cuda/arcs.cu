// The fund graph of a plan: how many customers could swap fund a for fund b, and who they are.
// See ptofa_gpu/ops/arcs.py.
#include "compact.cuh"

#include "arcs.cuh"

// arcs[a F + b] += customers who hold a (F: an empty slot) and could have b.  Neighbouring threads have neighbouring
// funds b of one customer; a thread meets one b only.  Counted in shared memory, F (F + 1) words, where that is enough.
extern "C" __global__ void __launch_bounds__(256)
    count_arcs(const signed char* tolerance, const signed char* risk, const u64* mask, int words, const short* chosen,
               i64 rows, int funds, int k, int in_shared, u64* arcs) {
  extern __shared__ unsigned s_arcs[];
  const int size = funds * (funds + 1);
  if (in_shared) {
    for (int i = threadIdx.x; i < size; i += blockDim.x) s_arcs[i] = 0u;
    __syncthreads();
  }
  const i64 stride = (i64)gridDim.x * blockDim.x / funds;
  const i64 me = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const int b = (int)(me % funds);
  for (i64 u = me < stride * funds ? me / funds : rows; u < rows; u += stride) {
    if (!may_see(tolerance, risk, mask, words, u, b) || rows::holds(chosen + u * k, k, b)) continue;
    rows::each_held(chosen + u * k, k, funds, [&](int held) {
      const int arc = held * funds + b;
      if (in_shared)
        atomicAdd(&s_arcs[arc], 1u);
      else
        atomicAdd(&arcs[arc], 1ull);
    });
  }
  if (in_shared) {
    __syncthreads();
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      if (s_arcs[i]) atomicAdd(&arcs[i], (u64)s_arcs[i]);
  }
}

// Marks the customers who hold a (-1: an empty slot), could have b, and gain at least so much by it (E_b - E_a); a warp
// has 32 of them at a time.
extern "C" __global__ void __launch_bounds__(256)
    mark_candidates(const float* revenue, const signed char* tolerance, const signed char* risk, const u64* mask,
                    int words, const short* chosen, i64 rows, int funds, int k, int a, int b, double least,
                    unsigned* marks, u64* in_tile) {
  const int lane = threadIdx.x & 31;
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 base = (i64)blockIdx.x * blockDim.x + threadIdx.x - lane; base < rows; base += stride) {
    const i64 u = base + lane;
    const short* slots = chosen + u * k;
    const bool could = u < rows && rows::holds(slots, k, a) && !rows::holds(slots, k, b) &&
                       may_see(tolerance, risk, mask, words, u, b) &&
                       rows::swap_gain(revenue + u * funds, a, b) >= least;
    mark_rows(in_tile, marks, base >> 5, __ballot_sync(0xffffffffu, could));
  }
}

// gain[i] of the first min(count, *found) customers in `customers`.
extern "C" __global__ void __launch_bounds__(256) swap_gains(const float* revenue, const i64* customers, i64 count,
                                                             const i64* found, int funds, int a, int b, double* gain) {
  const i64 n = *found < count ? *found : count;
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride)
    gain[i] = rows::swap_gain(revenue + customers[i] * funds, a, b);
}
