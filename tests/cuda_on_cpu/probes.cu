// Small kernels, right and wrong on purpose, on which the tests of the harness try what it can do and catch.
#include <cuda/std/cstdint>

struct Pair {
  double first;
  int second;
};

extern "C" {

__global__ void block_scan(const double* in, double* out, int n) {
  __shared__ double warp_sums[32];
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;
  const long long i = (long long)blockIdx.x * blockDim.x + tid;
  double v = i < n ? in[i] : 0.0;
  for (int d = 1; d < 32; d <<= 1) {
    const double o = __shfl_up_sync(0xffffffffu, v, d);
    if (lane >= d) v += o;
  }
  if (lane == 31) warp_sums[warp] = v;
  __syncthreads();
  for (int w = 0; w < warp; ++w) v += warp_sums[w];
  if (i < n) out[i] = v;
}

__global__ void reverse_dynamic(const float* in, float* out) {
  extern __shared__ __align__(16) float buffer[];
  buffer[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
}

__global__ void dynamic_overrun(float* out, int index) {
  extern __shared__ float cells[];
  cells[index] = 1.0f;
  out[0] = cells[index];
}

__global__ void early_exit(int* out, int n) {
  if ((int)threadIdx.x >= n) return;
  __syncthreads();
  __syncwarp();
  out[threadIdx.x] = 1;
}

__global__ void where_am_i(int* out) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = 1000 * block + thread;
}

__global__ void __launch_bounds__(64, 2) bounded(int* out) { out[threadIdx.x] = 1; }

__global__ void by_value(Pair p, bool flag, float x, long long n, double* out) {
  out[0] = p.first;
  out[1] = p.second;
  out[2] = flag;
  out[3] = x;
  out[4] = (double)n;
}

__global__ void warp_primitives(const int* in, unsigned* out) {
  const int lane = threadIdx.x;
  const unsigned all = 0xffffffffu;
  const int v = in[lane];
  unsigned* row = out + lane * 12;
  row[0] = __ballot_sync(all, v > 0);
  row[1] = __any_sync(all, v == 3) * 2 + __all_sync(all, v < 100);
  row[2] = (unsigned)__shfl_sync(all, v, 5, 8);
  row[3] = (unsigned)__shfl_down_sync(all, v, 4, 16);
  row[4] = (unsigned)__shfl_xor_sync(all, v, 1);
  row[5] = (unsigned)__reduce_add_sync(all, v);
  row[6] = (unsigned)__reduce_min_sync(all, v);
  row[7] = __reduce_max_sync(all, (unsigned)v);
  row[8] = __match_any_sync(all, v % 3);
  int same;
  row[9] = __match_all_sync(all, 7, &same) + (unsigned)same;
  row[10] = lane < 8 ? __ballot_sync(0xffu, v & 1) : __ballot_sync(0xffffff00u, v & 1);
  row[11] = __reduce_xor_sync(all, (unsigned)v);
}

// Right for every answer of __activemask: the lanes that run together elect one that adds for all.
__global__ void aggregated(const int* in, int* total, int* groups) {
  if (in[threadIdx.x] > 0) {
    const unsigned mask = __activemask();
    if ((threadIdx.x & 31) == __ffs(mask) - 1) {
      atomicAdd(total, __popc(mask));
      atomicAdd(groups, 1);
    }
  }
}

__global__ void atomics(unsigned long long* u, double* d, float* f, int* i, long long* l) {
  const int t = threadIdx.x;
  atomicAdd(u, 1ull << 40);
  atomicAdd(d, 0.5);
  atomicAdd(f, 1.0f);
  atomicSub(&i[0], 3);
  atomicMax(&l[0], (long long)t << 33);
  atomicMin(&l[1], -((long long)t << 33));
  atomicCAS(&i[1], 0, 7);
  atomicOr(&i[2], 1 << (t & 31));
  atomicExch(&i[3], 5);
  atomicAdd(&i[4], 0x7fffffff);
}

__global__ void arithmetic(const double* d, const float* f, long long* out) {
  out[0] = __double2ll_rn(d[0]);                                 // halves to even
  out[1] = __double2ll_rn(d[1]);                                 // saturates
  out[2] = __float2int_rz(f[0]);
  out[3] = __double_as_longlong(__dadd_rn(__dmul_rn(d[2], d[3]), d[4]));
  out[4] = __double_as_longlong(__fma_rn(d[2], d[3], d[4]));
  out[5] = __float_as_uint(__fadd_rn(__fmul_rn(f[1], f[2]), f[3]));
  out[6] = __clzll(1ll << 40) * 1000 + __ffsll(1ll << 40) * 10 + __popcll(0xffull);
  out[7] = __brev(1u) == 0x80000000u && __clz(1) == 31 && __ffs(0) == 0 && __byte_perm(0x33221100u, 0x77665544u, 0x7040u) == 0x77004400u;
  out[8] = (long long)__umul64hi(~0ull, 16ull);
  const float4 q = make_float4(1.f, 2.f, 3.f, 4.f);
  out[9] = sizeof(float4) * 100 + alignof(float4) + (long long)(q.x + q.w);
  out[10] = min(3, 4u) + max(2.0f, __uint_as_float(0x7fc00000u));  // mixed integers; the number, not the NaN
  out[11] = __float_as_uint(__longlong_as_double(0x3ff0000000000000ll));
  out[12] = __double2int_rd(-1.5) * 10 + __float2int_ru(1.2f);
}

// ------------------------------------------------------------------ wrong on purpose

__global__ void divergent_barrier(int* out) {
  if (threadIdx.x < 7) __syncthreads();
  else __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void barrier_and_shuffle(int* out) {
  if (threadIdx.x < 7) __syncthreads();
  else __shfl_sync(0xffffffffu, 1, 0);
  out[threadIdx.x] = 1;
}

__global__ void not_in_mask(int* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffff0000u, 1, 0);
}

__global__ void different_masks(int* out) {
  out[threadIdx.x] = __shfl_sync(threadIdx.x < 16 ? 0xffffffffu : 0xfffffffeu, 1, 1);
}

__global__ void reads_missing_lane(int* out) { out[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1, 16); }

__global__ void missing_barrier(int* out) {
  __shared__ int s[64];
  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[63 - threadIdx.x];
}

__global__ void order_of_blocks(int* counter, int* out) {
  if (threadIdx.x == 0) out[blockIdx.x] = atomicAdd(counter, 1);
}

__global__ void stale_shared(int* out) {  // sums into what only the first block's threads have set
  __shared__ int total;
  if (blockIdx.x == 0 && threadIdx.x == 0) total = 0;
  __syncthreads();
  atomicAdd(&total, 1);
  __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = total;
}

__global__ void shared_overrun(int* out, int index) {
  __shared__ int a[8];
  __shared__ int b[8];
  a[threadIdx.x & 7] = 1;
  b[threadIdx.x & 7] = 2;
  __syncthreads();
  out[threadIdx.x] = a[index] + b[0];
}

__device__ int dig(int depth, volatile int* keep) {
  volatile int frame[256];
  frame[depth & 255] = depth;
  return depth == 0 ? keep[0] : dig(depth - 1, frame) + frame[depth & 255];
}
__global__ void recursion(int* out, int depth) { out[threadIdx.x] = dig(depth, out); }

__global__ void read_at(const float* in, float* out, long long i) { out[0] = in[i]; }
__global__ void write_at(float* out, long long i) { out[i] = 1.0f; }
__global__ void writes_const(const float* in) { const_cast<float*>(in)[0] = 1.0f; }
__global__ void divides(int* out, int by) { out[0] = 7 / by; }
__global__ void signed_overflow(int* out) { out[0] = out[0] + 1; }
__global__ void shifts(int* out, int by) { out[0] = 1 << by; }
__global__ void casts(const float* in, int* out) { out[0] = (int)in[0]; }
__global__ void misaligned(const float* in, float* out) { out[0] = ((const float2*)(in + 1))->x; }
__global__ void never_ends(volatile int* flag) {
  while (*flag == 0) {
  }
}

__global__ void global_race(int* out) { out[0] = out[0] + 1; }
__global__ void block_sum(const int* in, int* out) {  // no race: a barrier between writing and reading, atomics
  __shared__ int s[64];
  s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  atomicAdd(out, s[threadIdx.x ^ 1]);
}
__global__ void warp_exchange(int* out, int with_sync) {
  __shared__ int s[32];
  s[threadIdx.x] = threadIdx.x;
  if (with_sync) __syncwarp();
  else __ballot_sync(0xffffffffu, 1);  // waits for the lanes, but orders no memory
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}

}  // extern "C"

template <class T, int N> __global__ void shared_in_template(T* out) {
  __shared__ T cells[N];
  cells[threadIdx.x] = T(threadIdx.x) / T(N);
  __syncthreads();
  out[threadIdx.x] = cells[N - 1 - threadIdx.x];
}

template <class T> __global__ void stale_in_template(T* out) {
  __shared__ T kept;
  if (blockIdx.x == 0) kept = T(1);
  __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = kept;
}

#define NAMED_BY_MACRO(N) \
  extern "C" __global__ void __launch_bounds__(N) from_macro_##N(int* out) { out[threadIdx.x] = N; }
NAMED_BY_MACRO(32)

// extern "C" __global__ void in_a_comment(int* out);
__global__ void not_extern_c(int* out) { out[0] = 1; }
