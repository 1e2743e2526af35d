// Score and pick: see ptofa_gpu/ops/score.py.
#include "score.cuh"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "customers.hpp"
#include "limits.hpp"
#include "pool.hpp"

// done[u] = 1: the row is left as it is.
// clang-format off
#define SCORE_AND_PICK(X)                                                                                \
  PTOFA_LIMITS(X)                                                                                        \
  X(in_u8, done) X(in_f64, alpha) X(in_u8, is_open) X(i64, k) X(i64, tail) X(out_u64, key) X(out_i16, picks)
// clang-format on
PTOFA_ENTRY(score_and_pick, SCORE_AND_PICK)

namespace ptofa {
namespace {

typedef int Ints __attribute__((vector_size(4 * LANES)));

double revenue_of(long long item) {
  const int bits = rows::in_order(static_cast<int>(item >> 32));
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct LanesLook {
  const double* speed;
  Reals revenue(Wholes item) const {
    return __builtin_convertvector((Singles)rows::in_order(__builtin_convertvector(item >> 32, Ints)), Reals);
  }
  Reals alpha(Wholes item) const {
    Reals out;
    for (int lane = 0; lane < LANES; ++lane)
      out[lane] = item[lane] == rows::NO_ITEM ? 0.0 : speed[rows::fund_of_item(item[lane])];
    return out;
  }
};

uint64_t key_of(double score) {
  long long bits;
  std::memcpy(&bits, &score, sizeof bits);
  return rows::key_of_score(bits);
}

// Waiting customers side by side, up to N funds.
template <int N>
void score_lanes(const score_and_pick& a, const int64_t* at, int n) {
  const int funds = static_cast<int>(a.funds);
  Wholes item[N];
  for (int f = 0; f < N; ++f) {
    item[f] = Wholes{} + rows::NO_ITEM;
    if (f >= funds || !a.is_open[f]) continue;
    Wholes bits, sees;
    for (int lane = 0; lane < LANES; ++lane) {
      const int64_t u = at[std::min(lane, n - 1)];
      int word;
      std::memcpy(&word, a.revenue + u * funds + f, sizeof word);
      bits[lane] = word;
      sees[lane] = -static_cast<long long>(may_see(a, u, f));
    }
    item[f] = sees ? rows::item_of(bits, f) : item[f];
  }
  rows::sort_falling(item);
  const Reals score = rows::score_of<Reals>(item, funds, static_cast<int>(a.tail), HUGE_VAL, LanesLook{a.alpha});
  const int k = static_cast<int>(a.k);
  for (int lane = 0; lane < n; ++lane) {
    const int64_t u = at[lane];
    a.key[u] = key_of(score[lane]);
    for (int j = 0; j < k; ++j) {
      const bool none = j >= N || item[j % N][lane] == rows::NO_ITEM;
      a.picks[u * k + j] = none ? rows::EMPTY : static_cast<int16_t>(rows::fund_of_item(item[j % N][lane]));
    }
  }
}

// Any number of funds, one customer.
void score_row(const score_and_pick& a, int64_t u, std::vector<long long>& item) {
  item.clear();
  for (int64_t f = 0; f < a.funds; ++f) {
    if (!a.is_open[f] || !may_see(a, u, f)) continue;
    int bits;
    std::memcpy(&bits, a.revenue + u * a.funds + f, sizeof bits);
    item.push_back(rows::item_of<long long>(bits, static_cast<int>(f)));
  }
  std::sort(item.begin(), item.end(), [](long long x, long long y) { return x > y; });
  const size_t n = item.size();
  double score = 0.0;
  for (size_t j = 0; j < n; ++j) {
    const bool last = j + 1 == n;
    if (last && a.tail != rows::TAIL_ZERO) break;
    const double next = last ? 0.0 : revenue_of(item[j + 1]);
    score += rows::term(a.alpha[rows::fund_of_item(item[j])], revenue_of(item[j]), next);
  }
  if (a.tail == rows::TAIL_INF && n > 0 && n < static_cast<size_t>(a.funds)) score = HUGE_VAL;
  a.key[u] = key_of(score);
  for (int64_t j = 0; j < a.k; ++j)
    a.picks[u * a.k + j] = j < static_cast<int64_t>(n)
                               ? static_cast<int16_t>(rows::fund_of_item(item[static_cast<size_t>(j)]))
                               : rows::EMPTY;
}

void score_group(const score_and_pick& a, const int64_t* at, int n) {
  if (a.funds <= 8)
    score_lanes<8>(a, at, n);
  else if (a.funds <= 16)
    score_lanes<16>(a, at, n);
  else
    score_lanes<32>(a, at, n);
}

}  // namespace

static void run(const score_and_pick& a) {
  const int64_t each = rows_at_a_time(a.funds);
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int) {
    int64_t waiting[LANES];
    int n = 0;
    std::vector<long long> item;
    for (int64_t u = part * each; u < std::min(a.rows, (part + 1) * each); ++u) {
      if (a.done[u]) continue;
      if (a.funds > 32) {
        score_row(a, u, item);
        continue;
      }
      waiting[n++] = u;
      if (n == LANES) score_group(a, waiting, n), n = 0;
    }
    if (n > 0) score_group(a, waiting, n);
  });
}

}  // namespace ptofa
