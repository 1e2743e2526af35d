// Every customer's funds by falling revenue, equal revenue by lower fund, slots without one last.
// Twin: ptofa_gpu/ops/order.py.
#include "common.cuh"

// One thread a customer; few slots, mostly in order already: insertion.
extern "C" __global__ void __launch_bounds__(256)
    order_slots(const float* revenue, i64 rows, int funds, int k, short* chosen) {
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride) {
    const float* row = revenue + u * funds;
    short* held = chosen + u * k;
    for (int j = 1; j < k; ++j) {
      const short fund = held[j];
      if (fund < 0) continue;
      const float value = row[fund];
      int i = j;
      for (; i > 0; --i) {
        const short before = held[i - 1];
        if (before >= 0 && (row[before] > value || (row[before] == value && before < fund))) break;
        held[i] = before;
      }
      held[i] = fund;
    }
  }
}
