// Which funds every customer takes at given prices (take), and for a sample how close each choice is (choices).
// See ptofa_gpu/ops/choices.py.
#include "reduced.cuh"

#include "price.cuh"

// Writes where `own` says that this thread speaks for its customer.
struct Plan {
  short* chosen;
  bool own;
  __device__ __forceinline__ void put(int j, int fund) {
    if (own) chosen[j] = (short)fund;
  }
};

struct List {
  rows::ChoiceList list;
  bool own;
  Halves* total;
  __device__ __forceinline__ void held(int j, int fund, i64 value) {
    if (!own) return;
    list.held(j, fund, value);
    total->add(value);
  }
  __device__ __forceinline__ void empty(int j, int fund, i64 loss) {
    if (own) list.empty(j, fund, loss);
  }
  __device__ __forceinline__ void closed(int j) {
    if (own) list.closed(j);
  }
  __device__ __forceinline__ void instead(int j, int fund, i64 worth) {
    if (own) list.instead(j, fund, worth);
  }
};

template <int N>
__device__ __forceinline__ void take_in_registers(const Customers& c, const signed char* slots, int k, i64 rows,
                                                  short* chosen) {
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const rows::Keys keys(c.funds, c.scale);
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    ThreadRow<N> row(c, lookup, keys, u);
    Plan plan{chosen + u * k, true};
    rows::take_best(keys, row, own_slots(slots, u, k), k, plan);
  }
}

// held, other and margin of slot j of the i-th sampled customer lie at i k + j; total: high and low half of the value.
template <int N>
__device__ __forceinline__ void choices_in_registers(const Customers& c, const signed char* slots, int k, i64 rows,
                                                     i64 first, i64 step, short* held, short* other, double* margin,
                                                     u64* total) {
  __shared__ Lookup<N> lookup;
  lookup.fill(c);
  const rows::Keys keys(c.funds, c.scale);
  Halves sum{0, 0};
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += stride) {
    const i64 u = first + i * step;
    ThreadRow<N> row(c, lookup, keys, u);
    List list{{held + i * k, other + i * k, margin + i * k, c.funds, infinity()}, true, &sum};
    rows::list_choices(keys, row, own_slots(slots, u, k), k, list);
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
CHOICES(8, __launch_bounds__(256, 4))
CHOICES(16, __launch_bounds__(256))
CHOICES(32, __launch_bounds__(128))

// Any F, K <= 31: one warp a customer, F keys for each warp in dynamic shared memory.
extern "C" __global__ void __launch_bounds__(256) take_wide(ROW_PARAMETERS, short* chosen) {
  extern __shared__ i64 s_key[];
  ROW_CUSTOMERS;
  const rows::Keys keys(funds, scale);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  for (i64 u = (i64)blockIdx.x * warps + warp; u < rows; u += (i64)gridDim.x * warps) {
    WarpRow row(c, keys, u, s_key + warp * funds, lane);
    Plan plan{chosen + u * k, lane == 0};
    rows::take_best(keys, row, own_slots(slots, u, k), k, plan);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    choices_wide(ROW_PARAMETERS, i64 first, i64 step, short* held, short* other, double* margin, u64* total) {
  extern __shared__ i64 s_key[];
  ROW_CUSTOMERS;
  const rows::Keys keys(funds, scale);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  Halves sum{0, 0};
  for (i64 i = (i64)blockIdx.x * warps + warp; i < rows; i += (i64)gridDim.x * warps) {
    const i64 u = first + i * step;
    WarpRow row(c, keys, u, s_key + warp * funds, lane);
    List list{{held + i * k, other + i * k, margin + i * k, funds, infinity()}, lane == 0, &sum};
    rows::list_choices(keys, row, own_slots(slots, u, k), k, list);
  }
  sum.of_block(total);
}
