// The fund graph of a plan, customer by customer: whoever holds a and could have b is on the arc from a to b.
#pragma once
#include "lanes.cuh"

namespace rows {

// Whether one of a customer's k slots has `fund` (or, for EMPTY, is empty).
PTOFA_FN bool holds(const short* slots, int k, int fund) {
  bool found = false;
  for (int j = 0; j < k; ++j) found |= slots[j] == fund;
  return found;
}

// from(a) of what a customer could give up: each fund held, and `empty` for all empty slots together.
template <class From>
PTOFA_FN void each_held(const short* slots, int k, int empty, From from) {
  bool had_empty = false;
  for (int j = 0; j < k; ++j) {
    const int fund = slots[j];
    if (fund == CLOSED || (fund == EMPTY && had_empty)) continue;
    had_empty |= fund == EMPTY;
    from(fund == EMPTY ? empty : fund);
  }
}

// What it gains to have b instead of a, in the currency; an empty slot is worth 0.
PTOFA_FN double swap_gain(const float* revenue, int a, int b) {
  return (double)revenue[b] - (a == EMPTY ? 0.0 : (double)revenue[a]);
}

}  // namespace rows
