// Reduced values r = E in units + offset, whole numbers in float64, and the best of them: in registers where F <= 32,
// else one warp a customer.  Twin: `units` and `best_funds` of ptofa_gpu/ops/_rows.py; equal to it bit for bit.
#pragma once
#include "common.cuh"

#define ROUND 6755399441055744.0  // 1.5 x 2^52: added and taken off it rounds to a whole number, halves to even
#define WHOLE_WARP 0xffffffffu
#define NO_FUND 0x7fffffff
#define EMPTY_SLOT (-1)
#define CLOSED_SLOT (-2)

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }

__device__ __forceinline__ double reduced(float value, double scale, double offset) {
  return __dadd_rn(__dsub_rn(__dadd_rn(__dmul_rn((double)value, scale), ROUND), ROUND), offset);
}

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
    return reduced(revenue[u * funds + f], scale, offset[f]);
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

  __device__ __forceinline__ void fill(const Customers& c) {
    for (int t = threadIdx.x; t < 256; t += blockDim.x) {
      unsigned funds = 0u;
      for (int f = 0; f < c.funds; ++f) funds |= (unsigned)((signed char)t >= c.risk[f]) << f;
      level[t] = funds;
    }
    for (int f = threadIdx.x; f < N; f += blockDim.x) offset[f] = f < c.funds ? c.offset[f] : 0.0;
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
    return reduced(row[f], c.scale, offset[f]);
  }
  __device__ __forceinline__ void read_values(const Customers& c, i64 u, double (&r)[N]) const {
    float row[N];
    read(c, u, row);
#pragma unroll
    for (int f = 0; f < N; ++f) r[f] = value(c, row, f);
  }
};

// The best of the funds `among` whose value is above `value`, which becomes its value; equal values by lower fund.
template <int N>
__device__ __forceinline__ int best_of(const double (&r)[N], unsigned among, double& value) {
  int fund = NO_FUND;
#pragma unroll
  for (int f = 0; f < N; ++f) {
    if (((among >> f) & 1u) && r[f] > value) {
      value = r[f];
      fund = f;
    }
  }
  return fund;
}

// ---- any F: one warp a customer; lane i has the funds i, i + 32, ...

struct Best {
  double value;
  int fund;

  __device__ __forceinline__ void offer(double other_value, int other_fund) {
    if (other_value > value || (other_value == value && other_fund < fund)) {
      value = other_value;
      fund = other_fund;
    }
  }
  __device__ __forceinline__ Best of_warp() const {
    Best best = *this;
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
      const double other_value = __shfl_xor_sync(WHOLE_WARP, best.value, step);
      const int other_fund = __shfl_xor_sync(WHOLE_WARP, best.fund, step);
      best.offer(other_value, other_fund);
    }
    return best;
  }
};

__device__ __forceinline__ Best best_of_lane(const double* value, int funds, int lane) {
  Best best{-infinity(), NO_FUND};
  for (int f = lane; f < funds; f += 32)
    if (value[f] > best.value) best = Best{value[f], f};
  return best;
}

// The customer's `wanted` <= 32 best funds: lane j gets the j-th, equal values by lower fund; returns how many there
// are.  value[F] is the warp's own, and each lane uses its own funds of it only.
__device__ __forceinline__ int best_of_row(const Customers& c, i64 u, int wanted, double* value, int lane, Best& pick) {
  for (int f = lane; f < c.funds; f += 32) value[f] = c.sees(u, f) ? c.value(u, f) : -infinity();
  Best mine = best_of_lane(value, c.funds, lane);
  pick = Best{-infinity(), NO_FUND};
  int n = 0;
  while (n < wanted) {
    const Best best = mine.of_warp();
    if (best.fund == NO_FUND) break;
    if (lane == n) pick = best;
    if (best.fund == mine.fund) {
      value[best.fund] = -infinity();
      mine = best_of_lane(value, c.funds, lane);
    }
    ++n;
  }
  return n;
}

// ---- sums of whole values that may not fit in 64 bits: high and low halves apart

struct Halves {
  i64 high, low;

  __device__ __forceinline__ void add(double value) {
    const i64 whole = __double2ll_rz(value);
    high += whole >> 24;
    low += whole & 0xffffffll;
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
