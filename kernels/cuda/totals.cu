// What a plan adds up to: how often it shows each fund, and its revenue, exactly.  See ptofa_gpu/ops/totals.py.
#include "totals.cuh"

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

// Exact sum of E over every slot that holds a fund: float32 mantissas added up by exponent, values below 0 apart.
// sums[e] += mantissa of a value of exponent e, sums[256 + e] of a negative one.
extern "C" __global__ void __launch_bounds__(256)
    earned(const float* revenue, const short* chosen, i64 rows, int funds, int k, u64* sums) {
  __shared__ u64 s_sums[2 * rows::EXPONENTS];
  for (int i = threadIdx.x; i < 2 * rows::EXPONENTS; i += blockDim.x) s_sums[i] = 0ull;
  __syncthreads();
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride)
    for (int j = 0; j < k; ++j) {
      const int fund = chosen[u * k + j];
      if (fund < 0) continue;
      const rows::Mantissa mantissa = rows::mantissa_of(__float_as_uint(revenue[u * funds + fund]));
      atomicAdd(&s_sums[mantissa.place], (u64)mantissa.value);
    }
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * rows::EXPONENTS; i += blockDim.x)
    if (s_sums[i]) atomicAdd(&sums[i], s_sums[i]);
}
