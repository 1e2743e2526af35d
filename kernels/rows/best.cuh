// The best funds of a customer at given prices.
//
// A fund's value is revenue in whole units + the fund's offset.  Value and fund are one integer, a *key*: larger is
// better, equal values by lower fund, no two funds of a customer have the same, and NO_FUND is below all of them.  So
// the best of a row are plain maxima, whatever the lane.
#pragma once
#include "lanes.cuh"

namespace rows {

constexpr i64 NO_FUND = -0x7fffffffffffffffll - 1;

// Added to a value below 2^51 in size it rounds it to a whole number, halves to even, which its last bits then hold.
constexpr double ROUND = 6755399441055744.0;  // 1.5 x 2^52
constexpr i64 ROUND_BITS = 0x4338000000000000ll;

// A value in units, as a whole number in double: the rounded revenue + the fund's offset.
template <class Real>
PTOFA_FN Real value_of(Real revenue, double scale, double offset) {
  return ((revenue * scale + ROUND) - ROUND) + offset;
}

// How keys are laid out: 11 bits for up to 2,047 funds.  Values must be below 2^(62 - bits) in size.
struct Keys {
  int bits;
  double scale;  // units per currency, a power of two

  PTOFA_FN Keys(int funds, double scale) : bits(funds < 2048 ? 11 : 15), scale(scale) {}

  PTOFA_FN i64 key(int fund, i64 value) const { return value * ((i64)1 << bits) + (((i64)1 << bits) - 1 - fund); }
  // What is added to the shifted bits of revenue: one effective price a fund.
  PTOFA_FN i64 constant(int fund, double offset) const {
    const i64 value = (i64)offset - ROUND_BITS;
    return (i64)((unsigned long long)value << bits) + (((i64)1 << bits) - 1 - fund);
  }
  PTOFA_FN int fund(i64 key) const { return (int)(((i64)1 << bits) - 1 - (key & (((i64)1 << bits) - 1))); }
  PTOFA_FN i64 value(i64 key) const { return key >> bits; }  // in units; NO_FUND's is below all
};

// The key of revenue.  `bits_of` gives the bits of a number as they lie in memory: the target has it for its lanes.
// `constant`: one for all lanes, or a lane's own where lanes are funds of one customer.
template <class Key, class Real, class Constant>
PTOFA_FN Key key_of(Real revenue, const Keys& keys, Constant constant) {
  return (bits_of(revenue * keys.scale + ROUND) << keys.bits) + constant;
}

// best[0 ... N) are the largest keys so far, falling.
template <int N, class Key>
PTOFA_FN void offer(Key (&best)[N], Key key) {
  PTOFA_UNROLL
  for (int j = 0; j < N - 1; ++j) {
    const Key before = best[j];
    best[j] = larger(before, key);
    key = smaller(before, key);
  }
  best[N - 1] = larger(best[N - 1], key);
}

// The largest of the keys below `before`.
template <class Key, class KeyOf>
PTOFA_FN Key next_best(const KeyOf& key_of_fund, int funds, Key before) {
  const Key none = Key{} + NO_FUND;
  Key best = none;
  PTOFA_UNROLL
  for (int f = 0; f < funds; ++f) {
    const Key key = key_of_fund(f);
    best = larger(best, key < before ? key : none);
  }
  return best;
}

}  // namespace rows
