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

// Which funds a customer has, for one row at a time.
class Held {
 public:
  explicit Held(int64_t funds) : has_(static_cast<size_t>(funds)) {}
  void put(const int32_t* plan, int64_t k, char what) {
    for (int64_t s = 0; s < k; ++s)
      if (plan[s] >= 0) has_[static_cast<size_t>(plan[s])] = what;
  }
  bool operator[](int64_t f) const { return has_[static_cast<size_t>(f)] != 0; }

 private:
  std::vector<char> has_;
};

// Lowers the costs of arcs, a square with `width` numbers a row, to those of the rows lo ... hi - 1.
void lower(const residual_arcs& a, int64_t lo, int64_t hi, double* arcs, int64_t width) {
  const int64_t n = a.funds;
  Held held(n);
  std::vector<double> free(static_cast<size_t>(n) + 1);  // what can be taken instead, last: an empty slot
  for (int64_t u = lo; u < hi; ++u) {
    const int32_t* plan = a.plan + u * a.k;
    const float* revenue = a.revenue + u * n;
    held.put(plan, a.k, 1);
    for (int64_t b = 0; b < n; ++b)
      free[static_cast<size_t>(b)] = a.eligible[u * n + b] && !held[b] ? static_cast<double>(revenue[b]) : -INF;
    free.back() = 0.0;
    held.put(plan, a.k, 0);
    bool empty = false;
    for (int64_t s = 0; s < a.k; ++s) {
      if (plan[s] < 0 && (plan[s] != EMPTY || empty)) continue;
      empty = empty || plan[s] == EMPTY;
      // 0.0 is added so that no cost is -0.0: which of the two zeros is found first depends on the threads
      const double given = plan[s] == EMPTY ? 0.0 : static_cast<double>(revenue[plan[s]]) + 0.0;
      const int64_t taken = plan[s] == EMPTY ? n : n + 1;
      double* __restrict out = arcs + (plan[s] == EMPTY ? n : plan[s]) * width;
      const double* __restrict other = free.data();
      for (int64_t b = 0; b < taken; ++b) {
        const double cost = given - other[b];
        out[b] = cost < out[b] ? cost : out[b];
      }
    }
  }
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
  std::vector<double> value(static_cast<size_t>(a.funds)), top(static_cast<size_t>(a.k));
  const double least = a.full ? -INF : 0.0;  // what is taken is worth more
  for (int64_t u = lo; u < hi; ++u) {
    const float* revenue = a.revenue + u * a.funds;
    const uint8_t* eligible = a.eligible + u * a.funds;
    for (int64_t f = 0; f < a.funds; ++f) {
      const double x = above(static_cast<double>(revenue[f]), a.price[f]);
      value[static_cast<size_t>(f)] = eligible[f] ? x : -INF;
    }
    const size_t own = static_cast<size_t>(a.slots != nullptr ? a.slots[u] : a.k);
    double total = 0.0, error = 0.0;
    if (own == 1) {
      double best = least;
      for (const double x : value) best = x > best ? x : best;
      total = best > -INF ? best : 0.0;
    } else if (own > 1) {
      std::fill_n(top.begin(), own, least);  // falling
      for (const double x : value) {
        if (!(x > top[own - 1])) continue;
        size_t j = own - 1;
        for (; j > 0 && top[j - 1] < x; --j) top[j] = top[j - 1];
        top[j] = x;
      }
      for (size_t j = 0; j < own && top[j] > least; ++j) {
        const Difference sum(total, -top[j]);
        total = sum.value;
        error += std::fabs(sum.error);
      }
    }
    a.sums[2 * u] = total;
    a.sums[2 * u + 1] = error * (1.0 + 0x1p-40);  // for the roundings of the sum of errors
  }
}

void compare(const slackness& a, int64_t lo, int64_t hi) {
  Held held(a.funds);
  for (int64_t u = lo; u < hi; ++u) {
    const int32_t* plan = a.plan + u * a.k;
    const float* revenue = a.revenue + u * a.funds;
    const uint8_t* eligible = a.eligible + u * a.funds;
    double worst = INF, best = -INF;
    int64_t has = -1, other = -1;
    held.put(plan, a.k, 1);
    for (int64_t f = 0; f < a.funds; ++f) {
      const double x = static_cast<double>(revenue[f]) - a.price[f];
      if (held[f]) {
        if (x < worst) worst = x, has = f;
      } else if (eligible[f] && x > best) {
        best = x, other = f;
      }
    }
    held.put(plan, a.k, 0);
    a.worst[u] = worst;
    a.best[u] = best;
    a.spare[u] = std::find(plan, plan + a.k, EMPTY) != plan + a.k;
    a.held[u] = has;
    a.other[u] = other;
  }
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
