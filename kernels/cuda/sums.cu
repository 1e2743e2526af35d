// Sums over customers as integers: exact, in any order.  See ptofa_gpu/ops/sums.py.
#include "common.cuh"

// sums[f] += sum over eligible u of round(E[u,f] x scale).  Neighbouring threads read neighbouring elements; the stride
// is a multiple of F, so that a thread meets one fund only.
extern "C" __global__ void __launch_bounds__(256)
    column_sums(const float* revenue, const signed char* tolerance, const signed char* risk, const u64* mask, int words,
                i64 rows, int funds, double scale, u64* sums) {
  const i64 threads = (i64)gridDim.x * blockDim.x;
  const i64 stride = threads / funds;  // rows a sweep
  const i64 me = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (me >= stride * funds) return;
  const int f = (int)(me % funds);
  i64 sum = 0;
  for (i64 u = me / funds; u < rows; u += stride)
    if (may_see(tolerance, risk, mask, words, u, f)) sum += fixed_point(revenue[u * funds + f], scale);
  if (sum != 0) atomicAdd(&sums[f], (u64)sum);
}
