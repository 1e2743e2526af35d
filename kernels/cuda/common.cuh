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
