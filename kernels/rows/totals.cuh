// What a plan adds up to, and each customer's funds in order.
#pragma once
#include "lanes.cuh"

namespace rows {

// A float32 as a mantissa below 2^24 and where it is added up: by biased exponent, values below 0 after the others. The
// sum of these is exact, in any order.
constexpr int EXPONENTS = 256;
struct Mantissa {
  int place;
  unsigned value;
};
PTOFA_FN Mantissa mantissa_of(unsigned bits) {
  const unsigned exponent = (bits >> 23) & 0xffu;
  return {(int)((bits >> 31) * EXPONENTS + exponent), (bits & 0x7fffffu) | (exponent ? 0x800000u : 0u)};
}

// held[k] by falling revenue, equal revenue by lower fund, slots without one last: few, and mostly in order already.
PTOFA_FN void order_slots(const float* revenue, int k, short* held) {
  for (int j = 1; j < k; ++j) {
    const short fund = held[j];
    if (fund < 0) continue;
    const float value = revenue[fund];
    int i = j;
    for (; i > 0; --i) {
      const short before = held[i - 1];
      if (before >= 0 && (revenue[before] > value || (revenue[before] == value && before < fund))) break;
      held[i] = before;
    }
    held[i] = fund;
  }
}

}  // namespace rows
