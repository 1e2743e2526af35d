// Customers and what they may see, as rows of kernels/rows: in registers where F <= 32, else one warp a customer.
#pragma once
#include "common.cuh"

namespace rows {
__device__ __forceinline__ long long bits_of(double x) { return __double_as_longlong(x); }
}  // namespace rows

#include "best.cuh"

#define WHOLE_WARP 0xffffffffu

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }

// What every pass reads.  mask == nullptr: no pair is excluded.  slots == nullptr: every customer gets K funds.
struct Customers {
  const float* revenue;
  const signed char* tolerance;
  const signed char* risk;
  const u64* mask;
  int words;
  int funds;
  const double* offset;
  double scale;

  __device__ __forceinline__ double value(i64 u, int f) const {
    return rows::value_of((double)revenue[u * funds + f], scale, offset[f]);
  }
  __device__ __forceinline__ bool sees(i64 u, int f) const { return may_see(tolerance, risk, mask, words, u, f); }
};

__device__ __forceinline__ int own_slots(const signed char* slots, i64 u, int k) {
  return slots == nullptr ? k : slots[u];
}

// ---- F <= N <= 32: one thread a customer

// What a block looks up: bit f of level[t] says whether tolerance t may see fund f.
template <int N>
struct Lookup {
  unsigned level[256];
  double offset[N];
  i64 constant[N];  // of keys

  __device__ __forceinline__ void fill(const Customers& c) {
    for (int t = threadIdx.x; t < 256; t += blockDim.x) {
      unsigned funds = 0u;
      for (int f = 0; f < c.funds; ++f) funds |= (unsigned)((signed char)t >= c.risk[f]) << f;
      level[t] = funds;
    }
    const rows::Keys keys(c.funds, c.scale);
    for (int f = threadIdx.x; f < N; f += blockDim.x) {
      offset[f] = f < c.funds ? c.offset[f] : 0.0;
      constant[f] = keys.constant(f, offset[f]);
    }
    __syncthreads();
  }

  // The funds that customer u may see, one bit each.
  __device__ __forceinline__ unsigned eligible(const Customers& c, i64 u) const {
    const unsigned funds = level[(unsigned char)c.tolerance[u]];
    return c.mask == nullptr ? funds : funds & (unsigned)c.mask[u * c.words];
  }

  // The customer's row, 16 bytes at a time where rows begin at multiples of 16; what lies beyond F is 0.
  __device__ __forceinline__ void read(const Customers& c, i64 u, float (&row)[N]) const {
    const float* from = c.revenue + u * c.funds;
    if (c.funds == N && ((u64)c.revenue & 15ull) == 0ull) {
      const float4* four = reinterpret_cast<const float4*>(from);
#pragma unroll
      for (int i = 0; i < N / 4; ++i) {
        const float4 x = four[i];
        row[4 * i] = x.x;
        row[4 * i + 1] = x.y;
        row[4 * i + 2] = x.z;
        row[4 * i + 3] = x.w;
      }
    } else {
#pragma unroll
      for (int f = 0; f < N; ++f) row[f] = f < c.funds ? from[f] : 0.0f;
    }
  }
  __device__ __forceinline__ double value(const Customers& c, const float (&row)[N], int f) const {
    return rows::value_of((double)row[f], c.scale, offset[f]);
  }
};

// ---- rows as keys, for kernels/rows/price.cuh

// F <= N: the keys of one thread's customer, in registers.
template <int N>
struct ThreadRow {
  i64 key[N], last = 0x7fffffffffffffffll;

  __device__ __forceinline__ ThreadRow(const Customers& c, const Lookup<N>& lookup, const rows::Keys& keys, i64 u) {
    const unsigned eligible = lookup.eligible(c, u);
    float row[N];
    lookup.read(c, u, row);
#pragma unroll
    for (int f = 0; f < N; ++f)
      key[f] = ((eligible >> f) & 1u) ? rows::key_of<i64>((double)row[f], keys, lookup.constant[f]) : rows::NO_FUND;
  }
  __device__ __forceinline__ i64 next() {
    return last = rows::next_best([this](int f) { return key[f]; }, N, last);
  }
  // Of those that came before the last one.
  template <class Each>
  __device__ __forceinline__ void each(int n, Each f) const {
    if (n == 0) return;
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (key[i] > last) f(key[i]);
  }
};

// Any F: the keys of one warp's customer in shared memory, key[F]; every lane has all that `next` says.
struct WarpRow {
  i64* key;
  int funds, lane, came = 0;
  i64 mine, pick = rows::NO_FUND;  // the best of this lane's funds; the `lane`-th of those that came

  __device__ __forceinline__ WarpRow(const Customers& c, const rows::Keys& keys, i64 u, i64* memory, int lane)
      : key(memory), funds(c.funds), lane(lane) {
    for (int f = lane; f < funds; f += 32)
      key[f] = c.sees(u, f) ? rows::key_of<i64>((double)c.revenue[u * funds + f], keys, keys.constant(f, c.offset[f]))
                            : rows::NO_FUND;
    mine = best_of_lane_keys(0x7fffffffffffffffll);
  }
  __device__ __forceinline__ i64 next() {
    i64 best = mine;
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) best = rows::larger(best, __shfl_xor_sync(WHOLE_WARP, best, step));
    if (lane == came) pick = best;
    ++came;
    if (best == mine) mine = best_of_lane_keys(best);
    return best;
  }
  template <class Each>
  __device__ __forceinline__ void each(int n, Each f) const {
    if (lane < n) f(pick);
  }

 private:
  __device__ __forceinline__ i64 best_of_lane_keys(i64 before) const {
    i64 best = rows::NO_FUND;
    for (int f = lane; f < funds; f += 32)
      if (key[f] < before) best = rows::larger(best, key[f]);
    return best;
  }
};

// ---- sums of whole values that may not fit in 64 bits: high and low halves apart

struct Halves {
  i64 high, low;

  __device__ __forceinline__ void add(i64 value) {
    high += value >> 24;
    low += value & 0xffffffll;
  }
  // total[0] += high, total[1] += low of the whole block; every thread calls it, once.
  __device__ __forceinline__ void of_block(u64* total) const {
    __shared__ u64 s_total[2];
    if (threadIdx.x < 2) s_total[threadIdx.x] = 0ull;
    __syncthreads();
    i64 h = high, l = low;
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
      h += __shfl_xor_sync(WHOLE_WARP, h, step);
      l += __shfl_xor_sync(WHOLE_WARP, l, step);
    }
    if ((threadIdx.x & 31) == 0) {
      atomicAdd(&s_total[0], (u64)h);
      atomicAdd(&s_total[1], (u64)l);
    }
    __syncthreads();
    if (threadIdx.x < 2) atomicAdd(&total[threadIdx.x], s_total[threadIdx.x]);
  }
};
