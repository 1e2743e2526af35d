// What customers gain by swapping a fund for another: see ptofa_gpu/allocation/_paths.py.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "boundary.hpp"

// allowed: (rows, funds) of 0 and 1; pick: (rows, k), what they hold.  last, least: (funds + 1, funds) for each swap
// the gain of number `rank` from above, or the least one where there are fewer, `unseen` where there is none; and that
// of number `more`, -inf where there are fewer.  rank < more.
// clang-format off
#define SWAP_GAINS(X)                                                                            \
  X(in_f32, value) X(in_u8, allowed) X(in_i16, pick) X(i64, rows) X(i64, funds) X(i64, k)        \
  X(i64, rank) X(i64, more) X(f64, unseen) X(out_f64, last) X(out_f64, least)
// clang-format on
PTOFA_ENTRY(swap_gains, SWAP_GAINS)

namespace ptofa {
namespace {

// visit(arc, gain) of every swap.
template <class Visit>
void each_swap(const swap_gains& a, Visit visit) {
  std::vector<char> held(static_cast<size_t>(a.funds));
  for (int64_t i = 0; i < a.rows; ++i) {
    const int16_t* pick = a.pick + i * a.k;
    const float* value = a.value + i * a.funds;
    for (int64_t j = 0; j < a.k; ++j)
      if (pick[j] >= 0) held[static_cast<size_t>(pick[j])] = 1;
    bool empty = false;
    for (int64_t j = 0; j < a.k; ++j) {
      if (pick[j] < 0 && (pick[j] != -1 || empty)) continue;  // not the customer's, or another empty one
      empty = empty || pick[j] < 0;
      const int64_t from = pick[j] < 0 ? a.funds : pick[j];
      const double given = pick[j] < 0 ? 0.0 : static_cast<double>(value[from]);
      for (int64_t b = 0; b < a.funds; ++b)
        if (a.allowed[i * a.funds + b] && !held[static_cast<size_t>(b)])
          visit(static_cast<size_t>(from * a.funds + b), static_cast<double>(value[b]) - given);
    }
    for (int64_t j = 0; j < a.k; ++j)
      if (pick[j] >= 0) held[static_cast<size_t>(pick[j])] = 0;
  }
}

}  // namespace

static void run(const swap_gains& a) {
  const size_t arcs = static_cast<size_t>((a.funds + 1) * a.funds);
  std::vector<int64_t> end(arcs + 1);  // of the arcs before, until they are filled in
  each_swap(a, [&end](size_t arc, double) { ++end[arc + 1]; });
  for (size_t arc = 0; arc < arcs; ++arc) end[arc + 1] += end[arc];
  std::vector<double> gains(static_cast<size_t>(end[arcs]));
  each_swap(a, [&](size_t arc, double gain) { gains[static_cast<size_t>(end[arc]++)] = gain; });
  auto first = gains.begin();
  for (size_t arc = 0; arc < arcs; ++arc) {
    const auto behind = gains.begin() + end[arc];
    const int64_t found = behind - first;
    a.last[arc] = a.unseen;
    a.least[arc] = -HUGE_VAL;
    if (found > 0) {
      const auto place = first + (std::min(a.rank, found) - 1);
      std::nth_element(first, place, behind, std::greater<double>());
      a.last[arc] = *place;
      if (found >= a.more) {
        std::nth_element(place, first + (a.more - 1), behind, std::greater<double>());
        a.least[arc] = first[a.more - 1];
      }
    }
    first = behind;
  }
}

}  // namespace ptofa
