// What customers take, slot by slot: see ptofa_gpu/ops/choices.py.
#include <cmath>

#include "customers.hpp"
#include "pool.hpp"
#include "price.cuh"

#define CHOICES(X) PTOFA_CUSTOMERS(X) X(out_i16, held) X(out_i16, other) X(out_f64, margin) X(out_i64, value)
PTOFA_ENTRY(choices, CHOICES)

#define TAKE(X) PTOFA_CUSTOMERS(X) X(out_i16, chosen)
PTOFA_ENTRY(take, TAKE)

namespace ptofa {
namespace {

struct List : rows::ChoiceList {
  Halves& total;
  List(int16_t* held, int16_t* other, double* margin, int none, Halves& sum)
      : rows::ChoiceList{held, other, margin, none, HUGE_VAL}, total(sum) {}
  void held(int j, int fund, int64_t value) {
    rows::ChoiceList::held(j, fund, value);
    total.add(value);
  }
};

struct Plan {
  int16_t* chosen;
  void put(int j, int fund) { chosen[j] = static_cast<int16_t>(fund); }
};

}  // namespace

// value[2], the high and the low half, is added to.
static void run(const choices& a) {
  const Funds<choices> funds(a);
  const int64_t each = rows_at_a_time(a.funds);
  const int k = static_cast<int>(a.k), none = static_cast<int>(a.funds);
  std::vector<Halves> totals(static_cast<size_t>(a.threads));
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int slot) {
    Halves total;
    visit_rows(a, funds, part * each, std::min(a.rows, (part + 1) * each), k + 1,
               [&](BestOfRow& row, int own, int64_t i) {
                 List list(a.held + i * k, a.other + i * k, a.margin + i * k, none, total);
                 rows::list_choices(funds.keys, row, own, k, list);
               });
    totals[static_cast<size_t>(slot)].add(total);
  });
  for (const Halves& total : totals) {
    a.value[0] += total.high;
    a.value[1] += total.low;
  }
}

static void run(const take& a) {
  const Funds<take> funds(a);
  const int64_t each = rows_at_a_time(a.funds);
  const int k = static_cast<int>(a.k);
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int) {
    visit_rows(a, funds, part * each, std::min(a.rows, (part + 1) * each), std::max(k, 1),
               [&](BestOfRow& row, int own, int64_t i) {
                 Plan plan{a.chosen + i * k};
                 rows::take_best(funds.keys, row, own, k, plan);
               });
  });
}

}  // namespace ptofa
