// The fund graph of a plan: see ptofa_gpu/ops/arcs.py.
#include "arcs.cuh"

#include <algorithm>
#include <vector>

#include "boundary.hpp"
#include "levels.hpp"
#include "pool.hpp"

// mask: null where no pair is excluded.  arcs: (F + 1, F) for each thread, added to.
// clang-format off
#define COUNT_ARCS(X)                                                                                       \
  X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, funds) X(in_i16, chosen) X(i64, k) \
  X(i64, rows) X(i64, threads) X(out_i64, arcs)
#define MARK_CANDIDATES(X)                                                                                   \
  X(in_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, funds)          \
  X(in_i16, chosen) X(i64, k) X(i64, rows) X(i64, threads) X(i64, a) X(i64, b) X(f64, least) X(out_u8, marks)
// clang-format on
PTOFA_ENTRY(count_arcs, COUNT_ARCS)
PTOFA_ENTRY(mark_candidates, MARK_CANDIDATES)

namespace ptofa {
namespace {

constexpr int64_t ROWS = 4096;  // that a thread takes at a time

}  // namespace

static void run(const count_arcs& a) {
  const Levels levels(a.risk, a.funds);
  const int64_t words = levels.words();
  share((a.rows + ROWS - 1) / ROWS, static_cast<int>(a.threads), [&](int64_t part, int slot) {
    int64_t* const arcs = a.arcs + slot * (a.funds + 1) * a.funds;
    std::vector<uint64_t> open(static_cast<size_t>(words));  // the funds that a customer could have and does not
    for (int64_t u = part * ROWS; u < std::min(a.rows, (part + 1) * ROWS); ++u) {
      const int16_t* slots = a.chosen + u * a.k;
      for (int64_t w = 0; w < words; ++w) {
        open[static_cast<size_t>(w)] = levels.seen(a.tolerance[u], w);
        if (a.mask != nullptr) open[static_cast<size_t>(w)] &= a.mask[u * a.words + w];
      }
      for (int64_t j = 0; j < a.k; ++j)
        if (slots[j] >= 0) open[static_cast<size_t>(slots[j] >> 6)] &= ~(uint64_t{1} << (slots[j] & 63));
      rows::each_held(slots, static_cast<int>(a.k), static_cast<int>(a.funds), [&](int held) {
        for (int64_t w = 0; w < words; ++w) {
          int64_t* const counts = arcs + held * a.funds + 64 * w;
          const uint64_t word = open[static_cast<size_t>(w)];
          const int64_t n = std::min<int64_t>(64, a.funds - 64 * w);
          for (int64_t b = 0; b < n; ++b) counts[b] += static_cast<int64_t>(word >> b & 1);
        }
      });
    }
  });
}

static void run(const mark_candidates& a) {
  const int k = static_cast<int>(a.k), from = static_cast<int>(a.a), to = static_cast<int>(a.b);
  const int8_t level = a.risk[to];
  share((a.rows + ROWS - 1) / ROWS, static_cast<int>(a.threads), [&](int64_t part, int) {
    const int64_t lo = part * ROWS, hi = std::min(a.rows, lo + ROWS);
    // who could is listed without a branch, which nobody could foresee: every row is written, and most overwritten
    int64_t some[ROWS];
    int64_t n = 0;
    for (int64_t u = lo; u < hi; ++u) {
      const int16_t* slots = a.chosen + u * k;
      bool could = rows::holds(slots, k, from) && !rows::holds(slots, k, to) && a.tolerance[u] >= level;
      if (a.mask != nullptr) could &= (a.mask[u * a.words + (to >> 6)] >> (to & 63) & 1) != 0;
      some[n] = u;
      n += could;
    }
    std::fill(a.marks + lo, a.marks + hi, uint8_t{0});
    for (int64_t i = 0; i < n; ++i)
      a.marks[some[i]] = rows::swap_gain(a.revenue + some[i] * a.funds, from, to) >= a.least;
  });
}

}  // namespace ptofa
