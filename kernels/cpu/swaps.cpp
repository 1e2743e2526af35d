// What customers lose by swaps: see ptofa_gpu/ops/swaps.py.
#include "swaps.cuh"

#include <cmath>

#include "arcs.cuh"
#include "customers.hpp"
#include "levels.hpp"
#include "pool.hpp"

#define SWAP_MARGINS(X) PTOFA_CUSTOMERS(X) X(in_i16, chosen) X(out_f64, margin)
PTOFA_ENTRY(swap_margins, SWAP_MARGINS)

#define MARK_NEAR(X) PTOFA_CUSTOMERS(X) X(in_i16, chosen) X(f64, theta) X(out_u8, near)
PTOFA_ENTRY(mark_near, MARK_NEAR)

namespace ptofa {
namespace {

// Funds of LANES customers, one bit each: those they hold, and those they could have and do not.
struct FundBits {
  explicit FundBits(int64_t words) : held(static_cast<size_t>(words)), open(held.size()) {}
  std::vector<Wholes> held, open;
};

// What the cheapest swap of each of the rows i ... i + n - 1 of a pass loses, 1 <= n <= LANES; the lanes beyond repeat
// the last.  `bits`: memory.
template <class Args>
Reals cheapest_swaps(const Args& a, const Levels& levels, int64_t i, int n, FundBits& bits) {
  int64_t u[LANES];
  const float* row[LANES];
  for (int lane = 0; lane < LANES; ++lane) {
    u[lane] = a.first + (i + std::min(lane, n - 1)) * a.step;
    row[lane] = a.revenue + u[lane] * a.funds;
  }
  Wholes* const held = bits.held.data();
  Wholes* const open = bits.open.data();
  const int64_t words = levels.words();
  Wholes has_empty{};
  for (int64_t w = 0; w < words; ++w) held[w] = Wholes{};
  for (int64_t j = 0; j < a.k; ++j) {
    Wholes slot{};
    for (int lane = 0; lane < LANES; ++lane) slot[lane] = a.chosen[u[lane] * a.k + j];
    has_empty |= slot == rows::EMPTY;
    const Wholes bit = (Wholes{} + 1) << (slot & 63);
    for (int64_t w = 0; w < words; ++w) held[w] |= bit & (slot >> 6 == static_cast<long long>(w));
  }
  for (int64_t w = 0; w < words; ++w) {
    Wholes seen{};
    for (int lane = 0; lane < LANES; ++lane) {
      uint64_t word = levels.seen(a.tolerance[u[lane]], w);
      if (a.mask != nullptr) word &= a.mask[u[lane] * a.words + w];
      seen[lane] = static_cast<long long>(word);
    }
    open[w] = seen & ~held[w];
  }
  rows::CheapestSwap<Reals> swap(Reals{} + HUGE_VAL);
  each_column(row, static_cast<int>(a.funds), [&](int f, Singles column) {
    const Reals value = rows::value_of(__builtin_convertvector(column, Reals), a.scale, a.offset[f]);
    const auto bit = static_cast<long long>(uint64_t{1} << (f & 63));
    swap.hold((held[f >> 6] & bit) != 0, value);
    swap.could_have((open[f >> 6] & bit) != 0, value);
  });
  return swap.loss(has_empty);
}

// visit(losses, i, n) of n rows at a time.
template <class Args, class Visit>
void visit_cheapest_swaps(const Args& a, Visit visit) {
  const int64_t each = rows_at_a_time(a.funds);
  const Levels levels(a.risk, a.funds);
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int) {
    FundBits bits(levels.words());
    const int64_t hi = std::min(a.rows, (part + 1) * each);
    for (int64_t i = part * each; i < hi; i += LANES) {
      const int n = static_cast<int>(std::min<int64_t>(LANES, hi - i));
      visit(cheapest_swaps(a, levels, i, n, bits), i, n);
    }
  });
}

}  // namespace

static void run(const swap_margins& a) {
  visit_cheapest_swaps(a, [&a](Reals loss, int64_t i, int n) {
    for (int lane = 0; lane < n; ++lane) a.margin[i + lane] = loss[lane];
  });
}

static void run(const mark_near& a) {
  visit_cheapest_swaps(a, [&a](Reals loss, int64_t i, int n) {
    for (int lane = 0; lane < n; ++lane) a.near[i + lane] = loss[lane] <= a.theta;
  });
}

}  // namespace ptofa
