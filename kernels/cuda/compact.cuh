// Rows marked by bits, 32 to a word: a warp marks 32 rows at once; compact.cu turns the marks into a list.
#pragma once
#include "common.cuh"

#define TILE_WORDS 256  // a block of write_rows handles a tile of so many words

// Called by a whole warp with the marks of rows 32 word ... 32 word + 31.
__device__ __forceinline__ void mark_rows(u64* in_tile, unsigned* marks, i64 word, unsigned bits) {
  if ((threadIdx.x & 31) != 0) return;
  marks[word] = bits;
  if (bits) atomicAdd(&in_tile[word / TILE_WORDS], (u64)__popc(bits));
}
