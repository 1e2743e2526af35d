// The price pass: what every customer takes at given prices, counted, and who is about to change their mind.
// See ptofa_gpu/ops/price.py.
#include "reduced.cuh"

#include "price.cuh"

// out: counts[F + 1], swaps[(F + 1) x (F + 1)], high and low half of the value.  Counted in shared memory by block; the
// swaps of many funds do not fit there (IN_SHARED false) and are rare enough to be counted where they end up.
template <bool IN_SHARED>
struct Tally {
  const double* delta;
  unsigned* counts;
  unsigned* swaps;
  u64* out;
  int size;      // F + 1
  bool counted;  // whether this thread speaks for its customer
  Halves total{0, 0};

  // `memory`: 12 size^2 + 4 size bytes, or 4 size.
  __device__ __forceinline__ Tally(unsigned char* memory, const double* global_delta, u64* out, int size, bool counted)
      : out(out), size(size), counted(counted) {
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

  __device__ __forceinline__ void take(int fund, i64 value) {
    if (!counted) return;
    atomicAdd(&counts[fund], 1u);
    total.add(value);
  }
  __device__ __forceinline__ void leave_empty(int slots) {
    if (counted) atomicAdd(&counts[size - 1], (unsigned)slots);
  }

  // A holder of a who would lose `loss` with b instead; a warp's lanes have different ones.
  __device__ __forceinline__ void swap(int a, int b, i64 loss) {
    const int i = a * size + b;
    if (!((double)loss < delta[i]) || (a == size - 1 && !counted)) return;
    if (IN_SHARED)
      atomicAdd(&swaps[i], 1u);
    else
      atomicAdd(&out[size + i], 1ull);
  }

  __device__ __forceinline__ void finish() {
    total.of_block(out + size + (i64)size * size);  // its barrier ends the counting
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      if (counts[i]) atomicAdd(&out[i], (u64)counts[i]);
    if (IN_SHARED)
      for (int i = threadIdx.x; i < size * size; i += blockDim.x)
        if (swaps[i]) atomicAdd(&out[size + i], (u64)swaps[i]);
  }
};

// K = 1: the best and the second best are enough.
template <int N>
struct BestTwo {
  i64 best[2] = {rows::NO_FUND, rows::NO_FUND};
  bool first = true;

  __device__ __forceinline__ explicit BestTwo(const ThreadRow<N>& row) {
#pragma unroll
    for (int f = 0; f < N; ++f) rows::offer(best, row.key[f]);
  }
  __device__ __forceinline__ i64 next() {
    const i64 key = first ? best[0] : best[1];
    first = false;
    return key;
  }
  template <class Each>
  __device__ __forceinline__ void each(int n, Each f) const {
    if (n > 0) f(best[0]);
  }
};

// F <= N: one thread a customer.
template <int N, bool ONE>
__device__ __forceinline__ void price_in_registers(const Customers& c, const signed char* slots, int k, i64 rows,
                                                   i64 first, i64 step, const double* delta, u64* out) {
  extern __shared__ double s_memory[];
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const rows::Keys keys(c.funds, c.scale);
  Tally<true> tally(reinterpret_cast<unsigned char*>(s_memory), delta, out, c.funds + 1, true);
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);
    if (own == 0) continue;
    ThreadRow<N> row(c, lookup, keys, u);
    if (ONE) {
      BestTwo<N> two(row);
      rows::count_choices(keys, two, own, c.funds, tally);
    } else {
      rows::count_choices(keys, row, own, c.funds, tally);
    }
  }
  tally.finish();
}

// Any F, K <= 31: one warp a customer.  Dynamic shared memory: F keys for each warp, then the tally's.
template <bool IN_SHARED>
__device__ __forceinline__ void price_rows(const Customers& c, const signed char* slots, int k, i64 rows, i64 first,
                                           i64 step, const double* delta, u64* out) {
  extern __shared__ double s_memory[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  i64* key = reinterpret_cast<i64*>(s_memory) + warp * c.funds;
  const rows::Keys keys(c.funds, c.scale);
  Tally<IN_SHARED> tally(reinterpret_cast<unsigned char*>(s_memory + warps * c.funds), delta, out, c.funds + 1,
                         lane == 0);
  for (i64 i = (i64)blockIdx.x * warps + warp; i < rows; i += (i64)gridDim.x * warps) {
    const i64 u = first + i * step;
    const int own = own_slots(slots, u, k);  // the same for the whole warp
    if (own == 0) continue;
    WarpRow row(c, keys, u, key, lane);
    rows::count_choices(keys, row, own, c.funds, tally);
  }
  tally.finish();
}

#define PRICE_PARAMETERS                                                                                              \
  const float *revenue, const signed char *tolerance, const signed char *risk, const u64 *mask, int words, int funds, \
      const double *offset, double scale, const signed char *slots, int k, i64 rows, i64 first, i64 step,             \
      const double *delta, u64 *out
#define PRICE_CUSTOMERS \
  const Customers c { revenue, tolerance, risk, mask, words, funds, offset, scale }

#define PRICE_ONE(N, LAUNCH)                                                 \
  extern "C" __global__ void LAUNCH price_one_##N(PRICE_PARAMETERS) {        \
    PRICE_CUSTOMERS;                                                         \
    price_in_registers<N, true>(c, slots, k, rows, first, step, delta, out); \
  }
PRICE_ONE(8, __launch_bounds__(256))
PRICE_ONE(16, __launch_bounds__(256))
PRICE_ONE(32, __launch_bounds__(128))

#define PRICE_MANY(N, LAUNCH)                                                 \
  extern "C" __global__ void LAUNCH price_many_##N(PRICE_PARAMETERS) {        \
    PRICE_CUSTOMERS;                                                          \
    price_in_registers<N, false>(c, slots, k, rows, first, step, delta, out); \
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
