// Which funds every customer takes at given prices (take), and for a sample how close each choice is (choices).
// Twin: ptofa_gpu/ops/choices.py.
#include "reduced.cuh"

template <int N>
__device__ __forceinline__ void take_in_registers(const Customers& c, const signed char* slots, int k, i64 rows,
                                                  short* chosen) {
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    const int own = own_slots(slots, u, k);
    unsigned left = lookup.eligible(c, u);
    double r[N];
    lookup.read_values(c, u, r);
#pragma unroll 1
    for (int j = 0; j < k; ++j) {
      short slot = CLOSED_SLOT;
      if (j < own) {
        double value = 0.0;
        const int fund = best_of(r, left, value);
        slot = fund == NO_FUND ? (short)EMPTY_SLOT : (short)fund;
        left = fund == NO_FUND ? 0u : left & ~(1u << fund);
      }
      chosen[u * k + j] = slot;
    }
  }
}

// held, other and margin of slot j of the i-th sampled customer lie at i k + j; total: high and low half of the value.
template <int N>
__device__ __forceinline__ void choices_in_registers(const Customers& c, const signed char* slots, int k, i64 rows,
                                                     i64 first, i64 step, short* held, short* other, double* margin,
                                                     u64* total) {
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  Halves sum{0, 0};
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);
    unsigned left = lookup.eligible(c, u);
    double r[N];
    lookup.read_values(c, u, r);
    int taken = 0;
#pragma unroll 1
    for (int j = 0; j < k; ++j) {
      const i64 at = i * k + j;
      double value = -infinity();
      const int fund = j < own ? best_of(r, left, value) : NO_FUND;
      held[at] = other[at] = (short)c.funds;
      margin[at] = infinity();
      if (fund == NO_FUND) continue;
      left &= ~(1u << fund);
      if (value > 0.0) {
        held[at] = (short)fund;
        margin[at] = value;
        sum.add(value);
        ++taken;
      } else {
        other[at] = (short)fund;
        margin[at] = -value;
      }
    }
    if (taken < own) continue;
    double worth = 0.0;
    const int instead = best_of(r, left, worth);
    if (instead == NO_FUND) continue;
    for (int j = 0; j < taken; ++j) {
      other[i * k + j] = (short)instead;
      margin[i * k + j] = __dsub_rn(margin[i * k + j], worth);
    }
  }
  sum.of_block(total);
}

#define ROW_PARAMETERS                                                                                                \
  const float *revenue, const signed char *tolerance, const signed char *risk, const u64 *mask, int words, int funds, \
      const double *offset, double scale, const signed char *slots, int k, i64 rows
#define ROW_CUSTOMERS \
  const Customers c { revenue, tolerance, risk, mask, words, funds, offset, scale }

#define TAKE(N, LAUNCH)                                                       \
  extern "C" __global__ void LAUNCH take_##N(ROW_PARAMETERS, short* chosen) { \
    ROW_CUSTOMERS;                                                            \
    take_in_registers<N>(c, slots, k, rows, chosen);                          \
  }
TAKE(8, __launch_bounds__(256))
TAKE(16, __launch_bounds__(256))
TAKE(32, __launch_bounds__(128))

#define CHOICES(N, LAUNCH)                                                                                      \
  extern "C" __global__ void LAUNCH choices_##N(ROW_PARAMETERS, i64 first, i64 step, short* held, short* other, \
                                                double* margin, u64* total) {                                   \
    ROW_CUSTOMERS;                                                                                              \
    choices_in_registers<N>(c, slots, k, rows, first, step, held, other, margin, total);                        \
  }
CHOICES(8, __launch_bounds__(256))
CHOICES(16, __launch_bounds__(256))
CHOICES(32, __launch_bounds__(128))

// Any F, K <= 31: one warp a customer, F values for each warp in dynamic shared memory.
extern "C" __global__ void __launch_bounds__(256) take_wide(ROW_PARAMETERS, short* chosen) {
  extern __shared__ double s_value[];
  ROW_CUSTOMERS;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  for (i64 u = (i64)blockIdx.x * warps + warp; u < rows; u += (i64)gridDim.x * warps) {
    const int own = own_slots(slots, u, k);  // the same for the whole warp
    Best pick;
    best_of_row(c, u, own, s_value + warp * funds, lane, pick);
    if (lane < k) {
      const short slot = pick.value > 0.0 ? (short)pick.fund : (short)EMPTY_SLOT;
      chosen[u * k + lane] = lane < own ? slot : (short)CLOSED_SLOT;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
    choices_wide(ROW_PARAMETERS, i64 first, i64 step, short* held, short* other, double* margin, u64* total) {
  extern __shared__ double s_value[];
  ROW_CUSTOMERS;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  Halves sum{0, 0};
  for (i64 i = (i64)blockIdx.x * warps + warp; i < rows; i += (i64)gridDim.x * warps) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);
    Best pick;
    best_of_row(c, u, own + 1, s_value + warp * funds, lane, pick);
    const int taken = __popc(__ballot_sync(WHOLE_WARP, lane < own && pick.value > 0.0));
    const double next_value = __shfl_sync(WHOLE_WARP, pick.value, taken);
    const int next_fund = __shfl_sync(WHOLE_WARP, pick.fund, taken);
    const bool instead = taken == own && next_value > 0.0;
    if (lane < k) {
      const i64 at = i * k + lane;
      if (lane < taken) {
        held[at] = (short)pick.fund;
        other[at] = instead ? (short)next_fund : (short)funds;
        margin[at] = __dsub_rn(pick.value, instead ? next_value : 0.0);
        sum.add(pick.value);
      } else {
        const bool could = lane < own && pick.fund != NO_FUND;
        held[at] = (short)funds;
        other[at] = could ? (short)pick.fund : (short)funds;
        margin[at] = could ? -pick.value : infinity();
      }
    }
  }
  sum.of_block(total);
}
