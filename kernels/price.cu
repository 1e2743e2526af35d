// The price pass: what every customer takes at given prices, counted, and who is about to change their mind.
// Twin: ptofa_gpu/ops/price.py.
#include "reduced.cuh"

// out: counts[F + 1], swaps[(F + 1) x (F + 1)], high and low half of the value.  Counted in shared memory by block; the
// swaps of many funds do not fit there (IN_SHARED false) and are rare enough to be counted where they end up.
template <bool IN_SHARED>
struct Tally {
  const double* delta;
  unsigned* counts;
  unsigned* swaps;
  u64* out;
  int size;  // F + 1

  // `memory`: 12 size^2 + 4 size bytes, or 4 size.
  __device__ __forceinline__ Tally(unsigned char* memory, const double* global_delta, u64* out, int size)
      : out(out), size(size) {
    if (IN_SHARED) {
      double* own = reinterpret_cast<double*>(memory);
      swaps = reinterpret_cast<unsigned*>(own + size * size);
      counts = swaps + size * size;
      for (int i = threadIdx.x; i < size * size; i += blockDim.x) {
        own[i] = global_delta[i];
        swaps[i] = 0u;
      }
      delta = own;
    } else {
      delta = global_delta;
      swaps = nullptr;
      counts = reinterpret_cast<unsigned*>(memory);
    }
    for (int i = threadIdx.x; i < size; i += blockDim.x) counts[i] = 0u;
    __syncthreads();
  }

  __device__ __forceinline__ void take(int fund, unsigned times = 1u) { atomicAdd(&counts[fund], times); }

  // A holder of a who would lose `loss` with b instead.
  __device__ __forceinline__ void swap(int a, int b, double loss) {
    const int i = a * size + b;
    if (!(loss < delta[i])) return;
    if (IN_SHARED)
      atomicAdd(&swaps[i], 1u);
    else
      atomicAdd(&out[size + i], 1ull);
  }

  __device__ __forceinline__ void finish(const Halves& value) {
    value.of_block(out + size + (i64)size * size);  // its barrier ends the counting
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      if (counts[i]) atomicAdd(&out[i], (u64)counts[i]);
    if (IN_SHARED)
      for (int i = threadIdx.x; i < size * size; i += blockDim.x)
        if (swaps[i]) atomicAdd(&out[size + i], (u64)swaps[i]);
  }
};

// K = 1: the best and the second best are enough; an empty slot (F) is worth 0.
template <int N>
__device__ __forceinline__ void price_one(const Customers& c, const signed char* slots, i64 rows, i64 first, i64 step,
                                          const double* delta, u64* out) {
  extern __shared__ double s_memory[];
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  Tally<true> tally(reinterpret_cast<unsigned char*>(s_memory), delta, out, c.funds + 1);
  Halves total{0, 0};
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride) {
    const i64 u = first + i * step;
    if (slots != nullptr && slots[u] == 0) continue;
    const unsigned eligible = lookup.eligible(c, u);
    float row[N];
    lookup.read(c, u, row);
    double best = 0.0, second = -infinity();
    int fund = c.funds, other = c.funds;
#pragma unroll
    for (int f = 0; f < N; ++f) {
      const double r = lookup.value(c, row, f);
      const bool ok = (eligible >> f) & 1u;
      if (ok && r > best) {
        second = best;
        other = fund;
        best = r;
        fund = f;
      } else if (ok && r > second) {
        second = r;
        other = f;
      }
    }
    tally.take(fund);
    tally.swap(fund, other, __dsub_rn(best, second));
    total.add(best);
  }
  tally.finish(total);
}

template <int N>
__device__ __forceinline__ void price_many(const Customers& c, const signed char* slots, int k, i64 rows, i64 first,
                                           i64 step, const double* delta, u64* out) {
  extern __shared__ double s_memory[];
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const int empty = c.funds;
  Tally<true> tally(reinterpret_cast<unsigned char*>(s_memory), delta, out, c.funds + 1);
  Halves total{0, 0};
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);
    if (own == 0) continue;
    const unsigned eligible = lookup.eligible(c, u);
    double r[N];
    lookup.read_values(c, u, r);
    unsigned taken = 0u;
    int n = 0;
    while (n < own) {
      double value = 0.0;
      const int fund = best_of(r, eligible & ~taken, value);
      if (fund == NO_FUND) break;
      taken |= 1u << fund;
      total.add(value);
      tally.take(fund);
      ++n;
    }
    if (n < own) tally.take(empty, (unsigned)(own - n));
    // what a chosen fund would be given up for: the best not chosen, or nothing
    double worth = -infinity();
    int other = best_of(r, eligible & ~taken, worth);
    if (n < own && other != NO_FUND) tally.swap(empty, other, -worth);
    if (n < own || other == NO_FUND || worth <= 0.0) {
      other = empty;
      worth = 0.0;
    }
#pragma unroll
    for (int f = 0; f < N; ++f)
      if ((taken >> f) & 1u) tally.swap(f, other, __dsub_rn(r[f], worth));
  }
  tally.finish(total);
}

// Any F, K <= 31: one warp a customer.  Dynamic shared memory: F values for each warp, then the tally's.
template <bool IN_SHARED>
__device__ __forceinline__ void price_rows(const Customers& c, const signed char* slots, int k, i64 rows, i64 first,
                                           i64 step, const double* delta, u64* out) {
  extern __shared__ double s_memory[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, empty = c.funds;
  double* value = s_memory + warp * c.funds;
  Tally<IN_SHARED> tally(reinterpret_cast<unsigned char*>(s_memory + warps * c.funds), delta, out, c.funds + 1);
  Halves total{0, 0};
  for (i64 i = (i64)blockIdx.x * warps + warp; i < rows; i += (i64)gridDim.x * warps) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);  // the same for the whole warp
    if (own == 0) continue;
    Best pick;
    const int n = best_of_row(c, u, own + 1, value, lane, pick);
    const int taken = __popc(__ballot_sync(WHOLE_WARP, lane < own && pick.value > 0.0));
    // The next best is lane `taken`'s: what a chosen fund would be given up for, or an empty slot be filled with.
    const double next_value = __shfl_sync(WHOLE_WARP, pick.value, taken);
    const int next_fund = __shfl_sync(WHOLE_WARP, pick.fund, taken);
    const bool instead = taken == own && next_value > 0.0;
    if (lane < taken) {
      tally.take(pick.fund);
      total.add(pick.value);
      tally.swap(pick.fund, instead ? next_fund : empty, __dsub_rn(pick.value, instead ? next_value : 0.0));
    }
    if (lane == 0 && taken < own) {
      tally.take(empty, (unsigned)(own - taken));
      if (taken < n) tally.swap(empty, next_fund, -next_value);
    }
  }
  tally.finish(total);
}

#define PRICE_PARAMETERS                                                                                              \
  const float *revenue, const signed char *tolerance, const signed char *risk, const u64 *mask, int words, int funds, \
      const double *offset, double scale, const signed char *slots, int k, i64 rows, i64 first, i64 step,             \
      const double *delta, u64 *out
#define PRICE_CUSTOMERS \
  const Customers c { revenue, tolerance, risk, mask, words, funds, offset, scale }

#define PRICE_ONE(N, LAUNCH)                                          \
  extern "C" __global__ void LAUNCH price_one_##N(PRICE_PARAMETERS) { \
    PRICE_CUSTOMERS;                                                  \
    price_one<N>(c, slots, rows, first, step, delta, out);            \
  }
PRICE_ONE(8, __launch_bounds__(256))
PRICE_ONE(16, __launch_bounds__(256))
PRICE_ONE(32, __launch_bounds__(128))

#define PRICE_MANY(N, LAUNCH)                                          \
  extern "C" __global__ void LAUNCH price_many_##N(PRICE_PARAMETERS) { \
    PRICE_CUSTOMERS;                                                   \
    price_many<N>(c, slots, k, rows, first, step, delta, out);         \
  }
PRICE_MANY(8, __launch_bounds__(256))
PRICE_MANY(16, __launch_bounds__(256))
PRICE_MANY(32, __launch_bounds__(128))

extern "C" __global__ void __launch_bounds__(256) price_wide(PRICE_PARAMETERS) {
  PRICE_CUSTOMERS;
  price_rows<true>(c, slots, k, rows, first, step, delta, out);
}

extern "C" __global__ void __launch_bounds__(256) price_wider(PRICE_PARAMETERS) {
  PRICE_CUSTOMERS;
  price_rows<false>(c, slots, k, rows, first, step, delta, out);
}
