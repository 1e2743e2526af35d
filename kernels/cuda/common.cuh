// What every kernel shares: integer types, eligibility of one pair, numbers as unsigned integers that sort alike.
// Plain CUDA C++ without headers: NVRTC compiles it as it is.
#pragma once

typedef long long i64;  // every index that can reach U x F
typedef unsigned long long u64;

// May customer u see fund f?  mask == nullptr: no pair is excluded.
__device__ __forceinline__ bool may_see(const signed char* tolerance, const signed char* risk, const u64* mask,
                                        int words, i64 u, int f) {
  if (tolerance[u] < risk[f]) return false;
  return mask == nullptr || ((mask[u * words + (f >> 6)] >> (f & 63)) & 1ull) != 0;
}

// float32 -> uint32 in the same order; -0 counts as +0, so that equal numbers are equal keys.
__device__ __forceinline__ unsigned order_of(float value) {
  unsigned bits = __float_as_uint(value);
  if (bits == 0x80000000u) bits = 0u;
  return (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float value_of(unsigned order) {
  return __uint_as_float((order & 0x80000000u) ? order & 0x7fffffffu : ~order);
}

// float64 -> uint64 in the same order.
__device__ __forceinline__ u64 order_of(double value) {
  const i64 bits = __double_as_longlong(value);
  return bits < 0 ? ~(u64)bits : (u64)bits | 0x8000000000000000ull;
}

// A (revenue, fund) pair as one integer: larger is better, equal revenue by lower fund; 0 stands for no fund.
__device__ __forceinline__ u64 pack(float value, int fund) {
  return (u64)order_of(value) << 32 | (0xffffffffu - (unsigned)fund);
}

__device__ __forceinline__ float packed_value(u64 item) { return value_of((unsigned)(item >> 32)); }
__device__ __forceinline__ int packed_fund(u64 item) { return (int)(0xffffffffu - (unsigned)item); }

// round(value x scale), halves to even: sums of these are exact and do not depend on their order.
__device__ __forceinline__ i64 fixed_point(float value, double scale) {
  return __double2ll_rn(__dmul_rn((double)value, scale));
}

// Where a round ends, found digit by digit on the device (select.cu) and used by commit.cu.
struct Cut {
  u64 key;
  u64 row;       // of ~row & ROW_MASK, so that a larger digit means an earlier row
  u64 runs_out;  // 0: no fund runs out, every row is committed
};
#define ROW_MASK 0xffffffffffull  // rows are below 2^40
