// Every customer's funds by falling revenue, equal revenue by lower fund, slots without one last.
// See ptofa_gpu/ops/order.py.
#include "common.cuh"
#include "totals.cuh"

// One thread a customer; few slots, mostly in order already: insertion.
extern "C" __global__ void __launch_bounds__(256)
    order_slots(const float* revenue, i64 rows, int funds, int k, short* chosen) {
  const i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 u = (i64)blockIdx.x * blockDim.x + threadIdx.x; u < rows; u += stride)
    rows::order_slots(revenue + u * funds, k, chosen + u * k);
}
