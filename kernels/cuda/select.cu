// Where a round ends: radix selection over (score key falling, row rising), 8 bits at a time, state kept on the device.
// See ptofa_gpu/ops/select.py.
#include "common.cuh"

// 8 digits of the key, then 5 of the row: rows below 2^40.
#define KEY_DIGITS 8
// counts[f * 256 + digit] of the waiting rows that pick f and agree with the digits found so far.
extern "C" __global__ void __launch_bounds__(256)
    digit_histogram(const u64* key, const short* picks, const unsigned char* done, i64 rows, int k, int funds,
                    int digit, const Cut* cut, unsigned* counts, int in_shared) {
  extern __shared__ unsigned s_counts[];
  if (!cut->runs_out) return;
  unsigned* target = in_shared ? s_counts : counts;
  if (in_shared) {
    for (int i = threadIdx.x; i < funds * 256; i += blockDim.x) s_counts[i] = 0u;
    __syncthreads();
  }
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    if (done[u]) continue;
    int bin;
    if (digit < KEY_DIGITS) {
      if (digit > 0 && (key[u] >> (64 - 8 * digit)) != cut->key) continue;
      bin = (int)((key[u] >> (56 - 8 * digit)) & 255);
    } else {
      const int d = digit - KEY_DIGITS;
      const u64 row = ~(u64)u & ROW_MASK;
      if (key[u] != cut->key || (d > 0 && (row >> (40 - 8 * d)) != cut->row)) continue;
      bin = (int)((row >> (32 - 8 * d)) & 255);
    }
    for (int j = 0; j < k; ++j) {
      const int f = picks[u * k + j];
      if (f >= 0) atomicAdd(&target[f * 256 + bin], 1u);
    }
  }
  if (in_shared) {
    __syncthreads();
    for (int i = threadIdx.x; i < funds * 256; i += blockDim.x)
      if (s_counts[i]) atomicAdd(&counts[i], s_counts[i]);
  }
}

// One block: the highest digit at which some fund's count meets its open quota; clears the counts for the next digit.
extern "C" __global__ void __launch_bounds__(256)
    choose_digit(unsigned* counts, const i64* open_quota, i64* above, int funds, int digit, Cut* cut) {
  __shared__ int best;
  if (threadIdx.x == 0) best = -1;
  __syncthreads();
  if (!cut->runs_out) return;  // the same for the whole block
  for (int f = threadIdx.x; f < funds; f += blockDim.x) {
    if (open_quota[f] <= 0) continue;
    i64 count = above[f];
    for (int bin = 255; bin >= 0; --bin) {
      count += counts[f * 256 + bin];
      if (count >= open_quota[f]) {
        atomicMax(&best, bin);
        break;
      }
    }
  }
  __syncthreads();
  const int bin = best;
  for (int f = threadIdx.x; f < funds; f += blockDim.x)
    for (int b = 0; b < 256; ++b) {
      if (b > bin && bin >= 0) above[f] += counts[f * 256 + b];
      counts[f * 256 + b] = 0u;
    }
  if (threadIdx.x == 0) {
    if (bin < 0)
      cut->runs_out = 0;
    else if (digit < KEY_DIGITS)
      cut->key = cut->key << 8 | (u64)bin;
    else
      cut->row = cut->row << 8 | (u64)bin;
  }
}
