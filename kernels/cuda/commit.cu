// Commit a round: the waiting customers at or before the cut get their picks and leave the sums.
// See ptofa_gpu/ops/commit.py.
#include "common.cuh"

__device__ __forceinline__ bool before_cut(const Cut* cut, u64 key, i64 u) {
  if (!cut->runs_out) return true;
  return key > cut->key || (key == cut->key && (~(u64)u & ROW_MASK) >= cut->row);
}

// counts[f], sums[f] of the rows that are about to be committed; a thread meets one fund only (see sums.cu).
extern "C" __global__ void __launch_bounds__(256)
    committed_sums(const float* revenue, const signed char* tolerance, const signed char* risk, const u64* mask,
                   int words, const u64* key, const short* picks, const unsigned char* done, i64 rows, int funds, int k,
                   double scale, const Cut* cut, u64* counts, u64* sums) {
  const i64 stride = (i64)gridDim.x * blockDim.x / funds;
  const i64 me = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (me >= stride * funds) return;
  const int f = (int)(me % funds);
  i64 sum = 0, count = 0;
  for (i64 u = me / funds; u < rows; u += stride) {
    if (done[u] || !before_cut(cut, key[u], u)) continue;
    if (may_see(tolerance, risk, mask, words, u, f)) sum += fixed_point(revenue[u * funds + f], scale);
    for (int j = 0; j < k; ++j) count += picks[u * k + j] == f;
  }
  if (sum != 0) atomicAdd(&sums[f], (u64)sum);
  if (count != 0) atomicAdd(&counts[f], (u64)count);
}

// Writes the allocation of the same rows and marks them; served counts them.
extern "C" __global__ void __launch_bounds__(256)
    commit_rows(const u64* key, const short* picks, unsigned char* done, i64 rows, int k, const Cut* cut, short* chosen,
                u64* served) {
  __shared__ unsigned s_served;
  if (threadIdx.x == 0) s_served = 0u;
  __syncthreads();
  const i64 stride = (i64)gridDim.x * blockDim.x;
  unsigned mine = 0u;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    if (done[u] || !before_cut(cut, key[u], u)) continue;
    done[u] = 1;
    for (int j = 0; j < k; ++j) chosen[u * k + j] = picks[u * k + j];
    ++mine;
  }
  if (mine) atomicAdd(&s_served, mine);
  __syncthreads();
  if (threadIdx.x == 0 && s_served) atomicAdd(served, (u64)s_served);
}
