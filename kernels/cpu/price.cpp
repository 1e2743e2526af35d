// The price pass: see ptofa_gpu/ops/price.py.
#include "customers.hpp"
#include "pool.hpp"
#include "price.cuh"

#define PRICE_PASS(X) PTOFA_CUSTOMERS(X) X(in_f64, delta) X(out_i64, counts) X(out_i64, swaps) X(out_i64, value)
PTOFA_ENTRY(price_pass, PRICE_PASS)

namespace ptofa {
namespace {

// Counts of one thread.  Where there are many funds few rows share a pair of them: those are counted where they end up.
constexpr int64_t MOST_PAIRS = 1 << 16;

// A processor reads and writes this many numbers together: what threads count lies so far apart.
constexpr int64_t APART = 16;

struct Tally {
  const double* delta;
  int64_t size;
  int64_t* counts;
  int64_t* swaps;  // null: they go to `all_swaps`
  int64_t* all_swaps;
  Halves total;

  void take(int fund, int64_t value) {
    ++counts[fund];
    total.add(value);
  }
  void leave_empty(int slots) { counts[size - 1] += slots; }
  void swap(int from, int to, int64_t loss) {
    const int64_t at = from * size + to;
    const bool near = static_cast<double>(loss) < delta[at];
    if (swaps != nullptr)
      swaps[at] += near;  // without a branch: nobody can foresee it
    else if (near)
      __atomic_fetch_add(all_swaps + at, 1, __ATOMIC_RELAXED);
  }
};

}  // namespace

// counts[F + 1], swaps[(F + 1)^2] and value[2] (high and low half) are added to.
static void run(const price_pass& a) {
  const int64_t size = a.funds + 1, pairs = size * size <= MOST_PAIRS ? size * size : 0;
  const int64_t each = rows_at_a_time(a.funds), stride = (size + pairs + 2 + 2 * APART) / APART * APART;
  const Funds<price_pass> funds(a);
  std::vector<int64_t> counted(static_cast<size_t>(a.threads * stride));
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int slot) {
    int64_t* const own = counted.data() + slot * stride;
    Tally tally{a.delta, size, own + 2, pairs > 0 ? own + 2 + size : nullptr, a.swaps, {}};
    visit_rows(a, funds, part * each, std::min(a.rows, (part + 1) * each), static_cast<int>(a.k) + 1,
               [&](BestOfRow& row, int slots, int64_t) {
                 rows::count_choices(funds.keys, row, slots, static_cast<int>(a.funds), tally);
               });
    own[0] += tally.total.high;
    own[1] += tally.total.low;
  });
  for (int64_t slot = 0; slot < a.threads; ++slot) {
    const int64_t* const own = counted.data() + slot * stride;
    for (int i = 0; i < 2; ++i) a.value[i] += own[i];
    for (int64_t i = 0; i < size; ++i) a.counts[i] += own[2 + i];
    for (int64_t i = 0; i < pairs; ++i) a.swaps[i] += own[2 + size + i];
  }
}

}  // namespace ptofa
