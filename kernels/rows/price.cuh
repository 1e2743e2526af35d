// What one customer does at given prices: takes the funds worth most, as long as they are worth more than an empty
// slot.
//
// `row.next()` is the key of the best fund that is left, which is then taken off; `row.each(n, f)` calls f(key) for the
// first n of those that came.
#pragma once
#include "best.cuh"

namespace rows {

// tally.take(fund, value), tally.leave_empty(slots), and tally.swap(a, b, loss) of whoever holds a and could have b,
// which is worth `loss` less; `empty` stands for an empty slot.
template <class Row, class Tally>
PTOFA_FN void count_choices(const Keys& keys, Row& row, int own, int empty, Tally& tally) {
  if (own == 0) return;
  int taken = 0;
  i64 next = row.next();
  while (taken < own && keys.value(next) > 0) {
    tally.take(keys.fund(next), keys.value(next));
    ++taken;
    next = row.next();
  }
  if (taken < own) tally.leave_empty(own - taken);
  // what a chosen fund would be given up for: the best not chosen, or nothing
  int other = empty;
  i64 worth = 0;
  if (next != NO_FUND) {
    if (taken < own) {
      tally.swap(empty, keys.fund(next), -keys.value(next));
    } else if (keys.value(next) > 0) {
      other = keys.fund(next);
      worth = keys.value(next);
    }
  }
  row.each(taken, [&](i64 key) { tally.swap(keys.fund(key), other, keys.value(key) - worth); });
}

// plan.put(j, fund) of the slots 0 ... k - 1: the funds, best first.
template <class Row, class Plan>
PTOFA_FN void take_best(const Keys& keys, Row& row, int own, int k, Plan& plan) {
  bool any = true;
  for (int j = 0; j < k; ++j) {
    if (j >= own) {
      plan.put(j, CLOSED);
      continue;
    }
    const i64 next = any ? row.next() : NO_FUND;
    any = keys.value(next) > 0;
    plan.put(j, any ? keys.fund(next) : EMPTY);
  }
}

// Slot by slot: list.held(j, fund, value), list.empty(j, alternative, loss) or list.closed(j); and then, for those that
// are held and could be another fund, list.instead(j, alternative, worth).
template <class Row, class List>
PTOFA_FN void list_choices(const Keys& keys, Row& row, int own, int k, List& list) {
  int taken = 0;
  for (int j = 0; j < k; ++j) {
    const i64 next = j < own ? row.next() : NO_FUND;
    if (keys.value(next) > 0) {
      list.held(j, keys.fund(next), keys.value(next));
      ++taken;
    } else if (next != NO_FUND) {
      list.empty(j, keys.fund(next), -keys.value(next));
    } else {
      list.closed(j);
    }
  }
  if (taken < own || own == 0) return;
  const i64 next = row.next();
  if (keys.value(next) > 0)
    for (int j = 0; j < taken; ++j) list.instead(j, keys.fund(next), keys.value(next));
}

// Where a pass writes such a list, of one customer.
struct ChoiceList {
  short* held_of;
  short* other;
  double* margin;
  int none;      // what stands for no fund
  double never;  // and for its loss

  PTOFA_FN void held(int j, int fund, i64 value) { put(j, fund, none, (double)value); }
  PTOFA_FN void empty(int j, int alternative, i64 loss) { put(j, none, alternative, (double)loss); }
  PTOFA_FN void closed(int j) { put(j, none, none, never); }
  PTOFA_FN void instead(int j, int alternative, i64 worth) {
    other[j] = (short)alternative;
    margin[j] -= (double)worth;
  }

 private:
  PTOFA_FN void put(int j, int fund, int alternative, double loss) {
    held_of[j] = (short)fund;
    other[j] = (short)alternative;
    margin[j] = loss;
  }
};

}  // namespace rows
