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

struct Tally {
  const double* delta;
  int64_t size;
  std::vector<int64_t> counts, swaps;
  int64_t* all_swaps;
  Halves total;

  void take(int fund, int64_t value) {
    ++counts[static_cast<size_t>(fund)];
    total.add(value);
  }
  void leave_empty(int slots) { counts[static_cast<size_t>(size - 1)] += slots; }
  void swap(int from, int to, int64_t loss) {
    const int64_t at = from * size + to;
    const bool near = static_cast<double>(loss) < delta[at];
    if (!swaps.empty())
      swaps[static_cast<size_t>(at)] += near;  // without a branch: nobody can foresee it
    else if (near)
      __atomic_fetch_add(all_swaps + at, 1, __ATOMIC_RELAXED);
  }
};

}  // namespace

// counts[F + 1], swaps[(F + 1)^2] and value[2] (high and low half) are added to.
static void run(const price_pass& a) {
  const int64_t size = a.funds + 1, each = rows_at_a_time(a.funds);
  const Funds<price_pass> funds(a);
  const int threads = static_cast<int>(a.threads);
  const size_t pairs = size * size <= MOST_PAIRS ? static_cast<size_t>(size * size) : 0;
  std::vector<Tally> tallies(
      static_cast<size_t>(threads),
      Tally{a.delta, size, std::vector<int64_t>(static_cast<size_t>(size)), std::vector<int64_t>(pairs), a.swaps, {}});
  share(parts_of(a.rows, each), threads, [&](int64_t part, int slot) {
    Tally& tally = tallies[static_cast<size_t>(slot)];
    visit_rows(a, funds, part * each, std::min(a.rows, (part + 1) * each), static_cast<int>(a.k) + 1,
               [&](BestOfRow& row, int own, int64_t) {
                 rows::count_choices(funds.keys, row, own, static_cast<int>(a.funds), tally);
               });
  });
  for (const Tally& tally : tallies) {
    for (size_t i = 0; i < tally.counts.size(); ++i) a.counts[i] += tally.counts[i];
    for (size_t i = 0; i < tally.swaps.size(); ++i) a.swaps[i] += tally.swaps[i];
    a.value[0] += tally.total.high;
    a.value[1] += tally.total.low;
  }
}

}  // namespace ptofa
