// What a plan adds up to: how often it shows each fund, and its revenue in fixed point.  Twin: ptofa_gpu/ops/totals.py.
#include "common.cuh"

// counts[v + 2] += slots that hold v: -2 (no slot of the customer's), -1 (empty), 0 ... F - 1.
extern "C" __global__ void __launch_bounds__(256) count_funds(const short* chosen, i64 slots, int funds, u64* counts) {
  extern __shared__ unsigned s_counts[];
  const int size = funds + 2;
  for (int i = threadIdx.x; i < size; i += blockDim.x) s_counts[i] = 0u;
  __syncthreads();
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < slots; i += stride)
    atomicAdd(&s_counts[chosen[i] + 2], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < size; i += blockDim.x)
    if (s_counts[i]) atomicAdd(&counts[i], (u64)s_counts[i]);
}

// total += round(E x scale) of every slot that holds a fund.
extern "C" __global__ void __launch_bounds__(256)
    earned(const float* revenue, const short* chosen, i64 rows, int funds, int k, double scale, u64* total) {
  __shared__ u64 s_total;
  if (threadIdx.x == 0) s_total = 0ull;
  __syncthreads();
  const i64 stride = (i64)gridDim.x * blockDim.x;
  i64 sum = 0;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride)
    for (int j = 0; j < k; ++j) {
      const int fund = chosen[u * k + j];
      if (fund >= 0) sum += fixed_point(revenue[u * funds + fund], scale);
    }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if ((threadIdx.x & 31) == 0) atomicAdd(&s_total, (u64)sum);
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(total, s_total);
}
