// Score and pick (Eq. 7 of PTOFA): each waiting customer's score, and the K best funds that are eligible and open.
// See ptofa_gpu/ops/score.py.
#include "score.cuh"

#include "common.cuh"

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }
__device__ __forceinline__ i64 item_of(float revenue, int fund) {
  return rows::item_of<i64>((int)__float_as_uint(revenue), fund);
}
__device__ __forceinline__ double revenue_of(i64 item) {
  return (double)__uint_as_float((unsigned)rows::in_order((int)(item >> 32)));
}

// What a score reads of an item.
struct Look {
  const double* speed;
  __device__ __forceinline__ double revenue(i64 item) const { return revenue_of(item); }
  __device__ __forceinline__ double alpha(i64 item) const {
    return item == rows::NO_ITEM ? 0.0 : speed[rows::fund_of_item(item)];
  }
};

// F <= N: one thread a customer, the row in registers, sorted by a bitonic network with constant indices.
template <int N>
__device__ __forceinline__ void score_in_registers(const float* revenue, const signed char* tolerance,
                                                   const signed char* risk, const u64* mask, int words,
                                                   const unsigned char* done, const double* alpha,
                                                   const unsigned char* is_open, i64 rows, int funds, int k, int tail,
                                                   u64* key, short* picks) {
  __shared__ double s_alpha[N];
  __shared__ signed char s_risk[N];
  __shared__ unsigned char s_open[N];
  for (int f = threadIdx.x; f < N; f += blockDim.x) {
    s_alpha[f] = f < funds ? alpha[f] : 0.0;
    s_risk[f] = f < funds ? risk[f] : 0;
    s_open[f] = f < funds ? is_open[f] : 0;
  }
  __syncthreads();
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    if (done[u]) continue;
    const signed char t = tolerance[u];
    const u64 allowed = mask == nullptr ? ~0ull : mask[u * words];  // F <= 32: one word
    const float* row = revenue + u * funds;
    i64 item[N];
#pragma unroll
    for (int f = 0; f < N; ++f) {
      const bool ok = s_open[f] && t >= s_risk[f] && ((allowed >> f) & 1ull);
      item[f] = ok ? item_of(row[f], f) : rows::NO_ITEM;
    }
    rows::sort_falling(item);
    const double score = rows::score_of<double>(item, funds, tail, infinity(), Look{s_alpha});
    key[u] = rows::key_of_score(__double_as_longlong(score));
#pragma unroll
    for (int j = 0; j < N; ++j)
      if (j < k) picks[u * k + j] = item[j] == rows::NO_ITEM ? (short)rows::EMPTY : (short)rows::fund_of_item(item[j]);
  }
}

#define SCORE_PICK(N, LAUNCH)                                                                                     \
  extern "C" __global__ void LAUNCH score_pick_##N(                                                               \
      const float* revenue, const signed char* tolerance, const signed char* risk, const u64* mask, int words,    \
      const unsigned char* done, const double* alpha, const unsigned char* is_open, i64 rows, int funds, int k,   \
      int tail, u64* key, short* picks) {                                                                         \
    score_in_registers<N>(revenue, tolerance, risk, mask, words, done, alpha, is_open, rows, funds, k, tail, key, \
                          picks);                                                                                 \
  }
SCORE_PICK(8, __launch_bounds__(256))
SCORE_PICK(16, __launch_bounds__(256))
SCORE_PICK(32, __launch_bounds__(128))

// Any F: one warp a customer, the row sorted in shared memory: `width` (a power of two >= F) items for each warp.
extern "C" __global__ void score_pick_wide(const float* revenue, const signed char* tolerance, const signed char* risk,
                                           const u64* mask, int words, const unsigned char* done, const double* alpha,
                                           const unsigned char* is_open, i64 rows, int funds, int k, int tail, u64* key,
                                           short* picks, int width) {
  extern __shared__ i64 s_items[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  i64* item = s_items + (i64)warp * width;
  const unsigned all = 0xffffffffu;
  for (i64 u = (i64)blockIdx.x * warps + warp; u < rows; u += (i64)gridDim.x * warps) {
    if (done[u]) continue;  // the same for the whole warp
    const float* row = revenue + u * funds;
    int n = 0;
    for (int base = 0; base < funds; base += 32) {
      const int f = base + lane;
      const bool ok = f < funds && is_open[f] && may_see(tolerance, risk, mask, words, u, f);
      const unsigned vote = __ballot_sync(all, ok);
      if (ok) item[n + __popc(vote & ((1u << lane) - 1u))] = item_of(row[f], f);
      n += __popc(vote);
    }
    int size = 1;
    while (size < n) size <<= 1;
    for (int i = n + lane; i < size; i += 32) item[i] = rows::NO_ITEM;
    __syncwarp();
    for (int run = 2; run <= size; run <<= 1) {
      for (int step = run >> 1; step > 0; step >>= 1) {
        for (int i = lane; i < size; i += 32) {
          const int j = i ^ step;
          if (j > i) {
            const i64 a = item[i], b = item[j];
            if ((i & run) == 0 ? a < b : a > b) {
              item[i] = b;
              item[j] = a;
            }
          }
        }
        __syncwarp();
      }
    }
    double score = 0.0;
    for (int base = 0; base < n; base += 32) {
      const int j = base + lane;
      double mine = 0.0;
      if (j < n && (j + 1 < n || tail == rows::TAIL_ZERO)) {
        const double next = j + 1 < n ? revenue_of(item[j + 1]) : 0.0;
        mine = rows::term(alpha[rows::fund_of_item(item[j])], revenue_of(item[j]), next);
      }
      const int terms = min(32, n - base);
      for (int i = 0; i < terms; ++i) {  // the terms side by side, the additions in order
        const double next_term = __shfl_sync(all, mine, i);
        if (base + i + 1 < n || tail == rows::TAIL_ZERO) score += next_term;
      }
    }
    if (tail == rows::TAIL_INF && n > 0 && n < funds) score = infinity();
    if (lane == 0) key[u] = rows::key_of_score(__double_as_longlong(score));
    for (int j = lane; j < k; j += 32)
      picks[u * k + j] = j < n ? (short)rows::fund_of_item(item[j]) : (short)rows::EMPTY;
    __syncwarp();  // the next row overwrites the items
  }
}
