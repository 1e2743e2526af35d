// What a customer would lose by a swap: giving up a fund, or an empty slot, for a fund that they do not hold, or a fund
// for an empty slot.
#pragma once
#include "lanes.cuh"

namespace rows {

// The cheapest swap gives up the fund of least value among those held, for the one of greatest value among the others.
template <class Real>
struct CheapestSwap {
  Real infinite, given, got;

  PTOFA_FN explicit CheapestSwap(Real infinite) : infinite(infinite), given(infinite), got(-infinite) {}

  // Each selects first and compares then: one fund after the other, only the comparison has to wait for the one before.
  template <class Mask>
  PTOFA_FN void hold(Mask m, Real value) {
    given = smaller(m ? value : infinite, given);
  }
  template <class Mask>
  PTOFA_FN void could_have(Mask m, Real value) {
    got = larger(m ? value : -infinite, got);
  }
  // What it loses; infinite where there is none.
  template <class Mask>
  PTOFA_FN Real loss(Mask has_empty) const {
    const Real nothing = Real{};
    // an empty slot is worth 0, and nothing may be put in place of it
    const Real with_empty = smaller(smaller(given, nothing) - got, given);
    return has_empty ? with_empty : given - larger(got, nothing);
  }
};

}  // namespace rows
