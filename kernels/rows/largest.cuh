// How large revenue is, as the bits of a float without its sign: these sort as sizes do, NaN above infinity.
#pragma once
#include "lanes.cuh"

namespace rows {

template <class Bits>
PTOFA_FN Bits size_of(Bits revenue) {
  return revenue & 0x7fffffff;
}

}  // namespace rows
