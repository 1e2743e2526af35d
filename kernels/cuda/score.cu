// Score and pick (Eq. 7 of PTOFA): each waiting customer's score, and the K best funds that are eligible and open.
// Twin: ptofa_gpu/ops/score.py; equal to it bit for bit: the additions have one fixed order and are never contracted.
#include "common.cuh"

#define INF_BITS 0x7ff0000000000000ll
enum Tail { TAIL_ZERO = 0, TAIL_DROP = 1, TAIL_INF = 2 };

// One step of h = sum alpha[f_j] (E[f_j] - E[f_(j+1)]); the last fund stands against 0 or not at all, by `tail`.
__device__ __forceinline__ double term(double alpha, float value, float next) {
  return __dmul_rn(alpha, __dsub_rn((double)value, (double)next));
}

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
    u64 item[N];
    int n = 0;
#pragma unroll
    for (int f = 0; f < N; ++f) {
      const bool ok = s_open[f] && t >= s_risk[f] && ((allowed >> f) & 1ull);
      item[f] = ok ? pack(row[f], f) : 0ull;
      n += ok;
    }
#pragma unroll
    for (int size = 2; size <= N; size <<= 1) {
#pragma unroll
      for (int step = size >> 1; step > 0; step >>= 1) {
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const int j = i ^ step;
          if (j > i) {
            const bool falling = (i & size) == 0;
            const u64 a = item[i], b = item[j];
            const bool swap = falling ? a < b : a > b;
            item[i] = swap ? b : a;
            item[j] = swap ? a : b;
          }
        }
      }
    }
    double score = 0.0;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (j < n) {
        const bool last = j + 1 == n;
        const float next = last ? 0.0f : packed_value(item[(j + 1) % N]);
        if (!last || tail == TAIL_ZERO)
          score = __dadd_rn(score, term(s_alpha[packed_fund(item[j])], packed_value(item[j]), next));
      }
    }
    if (tail == TAIL_INF && n > 0 && n < funds) score = __longlong_as_double(INF_BITS);
    key[u] = order_of(score);
#pragma unroll
    for (int j = 0; j < N; ++j)
      if (j < k) picks[u * k + j] = j < n ? (short)packed_fund(item[j]) : (short)-1;
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
  extern __shared__ u64 s_items[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  u64* item = s_items + (i64)warp * width;
  const unsigned all = 0xffffffffu;
  for (i64 u = (i64)blockIdx.x * warps + warp; u < rows; u += (i64)gridDim.x * warps) {
    if (done[u]) continue;  // the same for the whole warp
    const float* row = revenue + u * funds;
    int n = 0;
    for (int base = 0; base < funds; base += 32) {
      const int f = base + lane;
      const bool ok = f < funds && is_open[f] && may_see(tolerance, risk, mask, words, u, f);
      const unsigned vote = __ballot_sync(all, ok);
      if (ok) item[n + __popc(vote & ((1u << lane) - 1u))] = pack(row[f], f);
      n += __popc(vote);
    }
    int size = 1;
    while (size < n) size <<= 1;
    for (int i = n + lane; i < size; i += 32) item[i] = 0ull;
    __syncwarp();
    for (int run = 2; run <= size; run <<= 1) {
      for (int step = run >> 1; step > 0; step >>= 1) {
        for (int i = lane; i < size; i += 32) {
          const int j = i ^ step;
          if (j > i) {
            const u64 a = item[i], b = item[j];
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
      if (j < n && (j + 1 < n || tail == TAIL_ZERO)) {
        const float next = j + 1 < n ? packed_value(item[j + 1]) : 0.0f;
        mine = term(alpha[packed_fund(item[j])], packed_value(item[j]), next);
      }
      const int terms = min(32, n - base);
      for (int i = 0; i < terms; ++i) {  // the terms side by side, the additions in order
        const double next_term = __shfl_sync(all, mine, i);
        if (base + i + 1 < n || tail == TAIL_ZERO) score = __dadd_rn(score, next_term);
      }
    }
    if (tail == TAIL_INF && n > 0 && n < funds) score = __longlong_as_double(INF_BITS);
    if (lane == 0) key[u] = order_of(score);
    for (int j = lane; j < k; j += 32) picks[u * k + j] = j < n ? (short)packed_fund(item[j]) : (short)-1;
    __syncwarp();  // the next row overwrites the items
  }
}
