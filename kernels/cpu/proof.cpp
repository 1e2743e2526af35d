// Passes over customers that prove a plan: see ptofa_gpu/allocation/_residual.py.
//
// Plain code of its own, a row after the other: what finds plans must share nothing with what judges them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "boundary.hpp"
#include "pool.hpp"

// eligible: (rows, funds) of 0 and 1; plan: (rows, k) funds, EMPTY or CLOSED.  arcs: (nodes, nodes), lowered where a
// customer has a cheaper swap; row and column `funds` are the empty slot.
// clang-format off
#define RESIDUAL_ARCS(X)                                                                         \
  X(in_f32, revenue) X(in_u8, eligible) X(in_i32, plan) X(i64, rows) X(i64, funds) X(i64, k)     \
  X(i64, nodes) X(i64, threads) X(out_f64, arcs)
PTOFA_ENTRY(residual_arcs, RESIDUAL_ARCS)

// slots: null where everybody has k.  full: whether every slot takes something, whatever it is worth.  sums: (rows, 2).
#define BEST_REDUCED(X)                                                                          \
  X(in_f32, revenue) X(in_u8, eligible) X(in_f64, price) X(in_i8, slots) X(i64, rows)            \
  X(i64, funds) X(i64, k) X(i64, full) X(i64, threads) X(out_f64, sums)
PTOFA_ENTRY(best_reduced, BEST_REDUCED)

// worst, best: what a customer's least fund is worth above its price, and what the best of the others is; which they
// are, -1 where there is none.  spare: whether a slot is empty.
#define SLACKNESS(X)                                                                             \
  X(in_f32, revenue) X(in_u8, eligible) X(in_i32, plan) X(in_f64, price) X(i64, rows)            \
  X(i64, funds) X(i64, k) X(i64, threads) X(out_f64, worst) X(out_f64, best) X(out_u8, spare)    \
  X(out_i64, held) X(out_i64, other)
PTOFA_ENTRY(slackness, SLACKNESS)
// clang-format on

namespace ptofa {
namespace {

constexpr int32_t EMPTY = -1;  // what a plan holds in an open slot that nothing is in
constexpr double INF = HUGE_VAL;

// visit(lo, hi, slot) for some rows at a time.
template <class Args, class Visit>
void share_rows(const Args& a, Visit visit) {
  const int64_t each = std::max<int64_t>(1, (int64_t{1} << 16) / a.funds);
  share((a.rows + each - 1) / each, static_cast<int>(a.threads),
        [&](int64_t part, int slot) { visit(part * each, std::min(a.rows, (part + 1) * each), slot); });
}

// What pairs of a few customers are worth, a row after the other; -INF where they are not eligible.  All at once, so
// that the compiler can use vectors however few the funds are.
class Worth {
 public:
  explicit Worth(int64_t funds) : funds_(funds), rows_(std::max<int64_t>(1, 512 / funds)) {
    value_.resize(static_cast<size_t>(rows_ * funds));
  }

  // see(u, values) of the customers lo ... hi - 1, where a pair is worth of(E, i) and i finds its price in `repeated`.
  template <class Args, class Of, class See>
  void each(const Args& a, int64_t lo, int64_t hi, Of of, See see) {
    for (; lo < hi; lo += rows_) {
      const int64_t rows = std::min(rows_, hi - lo), pairs = rows * funds_;
      const float* __restrict const revenue = a.revenue + lo * funds_;
      const uint8_t* __restrict const eligible = a.eligible + lo * funds_;
      double* __restrict const value = value_.data();
      for (int64_t i = 0; i < pairs; ++i) {
        const double x = of(static_cast<double>(revenue[i]), i);
        value[i] = eligible[i] ? x : -INF;
      }
      for (int64_t r = 0; r < rows; ++r) see(lo + r, value + r * funds_);
    }
  }

  // Prices of funds, once for each customer of those that are looked at together.
  std::vector<double> repeated(const double* price) const {
    std::vector<double> out;
    for (int64_t r = 0; r < rows_; ++r) out.insert(out.end(), price, price + funds_);
    return out;
  }

 private:
  int64_t funds_, rows_;
  std::vector<double> value_;
};

// Lowers the costs of arcs, a square with `width` numbers a row, to those of the rows lo ... hi - 1.
void lower(const residual_arcs& a, int64_t lo, int64_t hi, double* arcs, int64_t width) {
  const int64_t n = a.funds;
  const auto see = [&a, n, arcs, width](int64_t u, double* __restrict other) {
    const int32_t* plan = a.plan + u * a.k;
    for (int64_t s = 0; s < a.k; ++s)
      if (plan[s] >= 0) other[plan[s]] = -INF;
    for (int64_t s = 0; s < a.k; ++s) {
      if (plan[s] < 0 && plan[s] != EMPTY) continue;
      // 0.0 is added so that no cost is -0.0: which of the two zeros is found first depends on the threads
      const double given = plan[s] == EMPTY ? 0.0 : static_cast<double>(a.revenue[u * n + plan[s]]) + 0.0;
      double* __restrict const out = arcs + (plan[s] == EMPTY ? n : plan[s]) * width;
      for (int64_t b = 0; b < n; ++b) {
        const double cost = given - other[b];
        out[b] = cost < out[b] ? cost : out[b];
      }
      if (plan[s] != EMPTY && given < out[n]) out[n] = given;
    }
  };
  Worth(n).each(a, lo, hi, [](double revenue, int64_t) { return revenue; }, see);
}

// a - b rounded, and what rounding took off (Knuth, The Art of Computer Programming 2, 4.2.2, Theorem B).
struct Difference {
  double value, error;
  Difference(double a, double b) : value(a - b) {
    const double less = value - a;
    error = (a - (value - less)) - (b + less);
  }
};

// a - b, rounded up.
double above(double a, double b) {
  const Difference x(a, b);
  uint64_t bits;
  std::memcpy(&bits, &x.value, sizeof bits);
  bits += x.value < 0.0 ? ~uint64_t{0} : 1;  // the next number: what was rounded is not 0
  double next;
  std::memcpy(&next, &bits, sizeof next);
  return x.error > 0.0 ? next : x.value;
}

void sum_best(const best_reduced& a, int64_t lo, int64_t hi) {
  std::vector<double> top(static_cast<size_t>(a.k));  // falling
  const double least = a.full ? -INF : 0.0;           // what is taken is worth more
  Worth worth(a.funds);
  const std::vector<double> prices = worth.repeated(a.price);
  const double* price = prices.data();
  const auto see = [&](int64_t u, const double* value) {
    const size_t own = static_cast<size_t>(a.slots != nullptr ? a.slots[u] : a.k);
    std::fill_n(top.begin(), own, least);
    if (own == 1) {
      double best = least;
      for (int64_t f = 0; f < a.funds; ++f) best = value[f] > best ? value[f] : best;
      top[0] = best;
    } else {
      for (int64_t f = 0; f < a.funds; ++f) {
        double x = value[f];
        for (size_t j = 0; j < own; ++j) {
          const double before = top[j];
          top[j] = x > before ? x : before;
          x = x > before ? before : x;
        }
      }
    }
    double total = 0.0, error = 0.0;
    for (size_t j = 0; j < own && top[j] > least; ++j) {
      const Difference sum(total, -top[j]);
      total = sum.value;
      error += std::fabs(sum.error);
    }
    a.sums[2 * u] = total;
    a.sums[2 * u + 1] = error * (1.0 + 0x1p-40);  // for the roundings of the sum of errors
  };
  worth.each(a, lo, hi, [price](double revenue, int64_t i) { return above(revenue, price[i]); }, see);
}

void compare(const slackness& a, int64_t lo, int64_t hi) {
  Worth worth(a.funds);
  const std::vector<double> prices = worth.repeated(a.price);
  const double* price = prices.data();
  const auto see = [&](int64_t u, double* value) {
    const int32_t* plan = a.plan + u * a.k;
    double worst = INF, best = -INF;
    int64_t has = -1;
    for (int64_t s = 0; s < a.k; ++s) {
      const int64_t f = plan[s];
      if (f < 0) continue;
      const double x = static_cast<double>(a.revenue[u * a.funds + f]) - a.price[f];
      if (x < worst || (x == worst && f < has)) worst = x, has = f;  // of several the first fund
      value[f] = -INF;
    }
    for (int64_t f = 0; f < a.funds; ++f) best = value[f] > best ? value[f] : best;
    a.worst[u] = worst;
    a.best[u] = best;
    a.spare[u] = std::find(plan, plan + a.k, EMPTY) != plan + a.k;
    a.held[u] = has;
    a.other[u] = best > -INF ? std::find(value, value + a.funds, best) - value : -1;
  };
  worth.each(a, lo, hi, [price](double revenue, int64_t i) { return revenue - price[i]; }, see);
}

}  // namespace

static void run(const residual_arcs& a) {
  const int64_t size = a.funds + 1;
  std::vector<std::vector<double>> own(static_cast<size_t>(a.threads));  // of all threads but the caller
  share_rows(a, [&](int64_t lo, int64_t hi, int slot) {
    if (slot == 0) return lower(a, lo, hi, a.arcs, a.nodes);
    std::vector<double>& arcs = own[static_cast<size_t>(slot)];
    if (arcs.empty()) arcs.assign(static_cast<size_t>(size * size), INF);
    lower(a, lo, hi, arcs.data(), size);
  });
  for (const std::vector<double>& arcs : own)
    for (size_t i = 0; i < arcs.size(); ++i) {
      double& out = a.arcs[static_cast<int64_t>(i) / size * a.nodes + static_cast<int64_t>(i) % size];
      out = std::min(out, arcs[i]);
    }
}

static void run(const best_reduced& a) {
  share_rows(a, [&](int64_t lo, int64_t hi, int) { sum_best(a, lo, hi); });
}

static void run(const slackness& a) {
  share_rows(a, [&](int64_t lo, int64_t hi, int) { compare(a, lo, hi); });
}

}  // namespace ptofa
