// From marked rows to a list of rows in order: count (mark_rows), prefix sum over tiles, write.
// No twin of its own: part of near_rows (ptofa_gpu/ops/swaps.py) and arc_candidates (ptofa_gpu/ops/arcs.py).
#include "compact.cuh"

// One block a tile; through_tile[t] counts the marks up to and with tile t.  What lies beyond `limit` is left out.
extern "C" __global__ void __launch_bounds__(TILE_WORDS)
    write_rows(const unsigned* marks, i64 words, const u64* through_tile, i64 limit, i64* out) {
  __shared__ int s_warp[TILE_WORDS / 32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const i64 word = (i64)blockIdx.x * TILE_WORDS + threadIdx.x;
  unsigned bits = word < words ? marks[word] : 0u;
  int before = __popc(bits);  // becomes the sum up to and with this word
#pragma unroll
  for (int step = 1; step < 32; step <<= 1) {
    const int left = __shfl_up_sync(0xffffffffu, before, step);
    if (lane >= step) before += left;
  }
  if (lane == 31) s_warp[warp] = before;
  __syncthreads();
  for (int w = 0; w < warp; ++w) before += s_warp[w];
  i64 at = (blockIdx.x == 0 ? 0 : (i64)through_tile[blockIdx.x - 1]) + before - __popc(bits);
  while (bits) {
    if (at < limit) out[at] = 32 * word + (__ffs((int)bits) - 1);
    bits &= bits - 1u;
    ++at;
  }
}
