// Eq. 7 of PTOFA: a customer's funds by falling revenue, and the score that says how much they lose by waiting.
//
// Revenue and fund are one integer, an *item*: larger is better, equal revenue (-0 is 0) by lower fund, and NO_ITEM is
// below all.
#pragma once
#include "lanes.cuh"

namespace rows {

constexpr i64 NO_ITEM = -0x7fffffffffffffffll - 1;
enum Tail { TAIL_ZERO = 0, TAIL_DROP = 1, TAIL_INF = 2 };

// The bits of a float32 as whole numbers in the same order; the same function leads back, but for -0.
template <class Whole>
PTOFA_FN Whole in_order(Whole bits) {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

// `bits` of the revenue, sign extended.
template <class Item>
PTOFA_FN Item item_of(Item bits, int fund) {
  const Item minus_zero = Item{} - 0x80000000ll;
  return in_order(bits == minus_zero ? Item{} : bits) * 0x100000000ll + (0xffffffffll - fund);
}
PTOFA_FN int fund_of_item(i64 item) { return (int)(0xffffffffll - (item & 0xffffffffll)); }

// Falling order, by a network of comparisons that are the same for every customer (Batcher's bitonic sort).
template <int N, class Item>
PTOFA_FN void sort_falling(Item (&item)[N]) {
  PTOFA_UNROLL
  for (int size = 2; size <= N; size <<= 1) {
    PTOFA_UNROLL
    for (int step = size >> 1; step > 0; step >>= 1) {
      PTOFA_UNROLL
      for (int pair = 0; pair < N / 2; ++pair) {
        const int i = pair / step * 2 * step + pair % step, j = i + step;
        const Item a = item[i], b = item[j];
        const bool falling = (i & size) == 0;
        item[i] = falling ? larger(a, b) : smaller(a, b);
        item[j] = falling ? smaller(a, b) : larger(a, b);
      }
    }
  }
}

// One step of h = sum alpha[f_j] (E[f_j] - E[f_(j+1)]).
template <class Real>
PTOFA_FN Real term(Real alpha, Real value, Real next) {
  return alpha * (value - next);
}

// The score of sorted items, of which `look` has revenue(item) and alpha(item) as Real; the last fund stands against 0
// or not at all, by `tail`.  The additions have one order.
template <class Real, int N, class Item, class Look>
PTOFA_FN Real score_of(const Item (&item)[N], int funds, int tail, double infinity, const Look& look) {
  const Item none = Item{} + NO_ITEM;
  Real score = Real{};
  PTOFA_UNROLL
  for (int j = 0; j < N; ++j) {
    const auto here = item[j] != none;
    const auto last = j + 1 == N ? here : here & (item[(j + 1) % N] == none);
    const Real next = last ? Real{} : look.revenue(item[(j + 1) % N]);
    const Real more = term<Real>(look.alpha(item[j]), look.revenue(item[j]), next);
    const auto counts = tail == TAIL_ZERO ? here : here ^ last;
    score = counts ? score + more : score;
    // somebody who sees funds, and not all of them
    if (tail == TAIL_INF && j + 1 == funds) score = ((item[0] != none) & (item[j] == none)) ? Real{} + infinity : score;
  }
  return score;
}

// The bits of a score as an unsigned number in the order of the scores.
PTOFA_FN unsigned long long key_of_score(i64 bits) {
  return bits < 0 ? ~(unsigned long long)bits : (unsigned long long)bits ^ 0x8000000000000000ull;
}

}  // namespace rows
