// Customers side by side, as many as a register holds keys: the loader of kernels/rows on a CPU.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "boundary.hpp"

// The widest vectors that pay: of 16 bytes on x86-64-v2 and aarch64, 32 on -v3, 64 on -v4.
#if defined(__AVX512F__)
#define PTOFA_LANES 8
#elif defined(__AVX2__)
#define PTOFA_LANES 4
#else
#define PTOFA_LANES 2
#endif

namespace rows {

constexpr int LANES = PTOFA_LANES;
typedef double Reals __attribute__((vector_size(8 * LANES)));
typedef long long Wholes __attribute__((vector_size(8 * LANES)));
typedef float Singles __attribute__((vector_size(4 * LANES)));
typedef int Bits __attribute__((vector_size(8 * LANES)));  // of float32, as many as a register holds

inline Wholes bits_of(Reals x) { return (Wholes)x; }

}  // namespace rows

#include "best.cuh"

// The fields that every pass at given prices begins with.  Rows are those of first, first + step, ...; mask: null where
// no pair is excluded; slots: null where everybody has k.
// clang-format off
#define PTOFA_CUSTOMERS(X)                                                                          \
  X(in_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, funds) \
  X(in_f64, offset) X(f64, scale) X(in_i8, slots) X(i64, k) X(i64, rows) X(i64, first)              \
  X(i64, step) X(i64, threads)
// clang-format on

namespace ptofa {

using rows::LANES, rows::NO_FUND, rows::Reals, rows::Singles, rows::Wholes;

// Rows that a thread takes at a time; what comes of them is added as whole numbers.
inline int64_t rows_at_a_time(int64_t funds) { return std::max<int64_t>(16 * LANES, (int64_t{1} << 16) / funds); }
inline int64_t parts_of(int64_t rows, int64_t each) { return (rows + each - 1) / each; }

// For each fund what its keys have in common, for one call.
template <class Args>
class Funds {
 public:
  explicit Funds(const Args& a) : keys(static_cast<int>(a.funds), a.scale) {
    for (int f = 0; f < a.funds; ++f) constant.push_back(keys.constant(f, a.offset[f]));
  }
  rows::Keys keys;
  std::vector<long long> constant;
};

#if PTOFA_LANES >= 4
// Four funds of every lane: rows of 16 bytes, turned into columns.  Where a register has eight lanes it takes the rows
// i and i + 4, so that what is shuffled stays within its halves.
inline void turn(const float* const (&row)[LANES], int f, Singles (&column)[4]) {
  typedef float Four __attribute__((vector_size(16), aligned(4)));
  const auto load = [&row, f](int i) { return *reinterpret_cast<const Four*>(row[i] + f); };
  // clang-format off
#if PTOFA_LANES == 8
  const auto part = [&](int i) { return __builtin_shufflevector(load(i), load(i + 4), 0, 1, 2, 3, 4, 5, 6, 7); };
#define PTOFA_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define PTOFA_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define PTOFA_LEFT 0, 1, 8, 9, 4, 5, 12, 13
#define PTOFA_RIGHT 2, 3, 10, 11, 6, 7, 14, 15
#else
  const auto part = [&](int i) { return static_cast<Singles>(load(i)); };
#define PTOFA_LOW 0, 4, 1, 5
#define PTOFA_HIGH 2, 6, 3, 7
#define PTOFA_LEFT 0, 1, 4, 5
#define PTOFA_RIGHT 2, 3, 6, 7
#endif
  // clang-format on
  const Singles r[4] = {part(0), part(1), part(2), part(3)};
  const Singles low01 = __builtin_shufflevector(r[0], r[1], PTOFA_LOW);
  const Singles low23 = __builtin_shufflevector(r[2], r[3], PTOFA_LOW);
  const Singles high01 = __builtin_shufflevector(r[0], r[1], PTOFA_HIGH);
  const Singles high23 = __builtin_shufflevector(r[2], r[3], PTOFA_HIGH);
  column[0] = __builtin_shufflevector(low01, low23, PTOFA_LEFT);
  column[1] = __builtin_shufflevector(low01, low23, PTOFA_RIGHT);
  column[2] = __builtin_shufflevector(high01, high23, PTOFA_LEFT);
  column[3] = __builtin_shufflevector(high01, high23, PTOFA_RIGHT);
}
#endif

// see(f, revenue of fund f), for every fund of as many rows.
template <class See>
void each_column(const float* const (&row)[LANES], int funds, See see) {
  int f = 0;
#if PTOFA_LANES >= 4
  for (; f + 4 <= funds; f += 4) {
    Singles column[4];
    turn(row, f, column);
    for (int i = 0; i < 4; ++i) see(f + i, column[i]);
  }
#endif
  for (; f < funds; ++f) {
    Singles column;
    for (int lane = 0; lane < LANES; ++lane) column[lane] = row[lane][f];
    see(f, column);
  }
}

// The rows i ... i + n - 1 of a pass, 1 <= n <= LANES; the lanes beyond repeat the last.
template <class Args>
class Group {
 public:
  Group(const Args& a, const Funds<Args>& funds, int64_t i, int n) : a_(a), funds_(funds) {
    for (int lane = 0; lane < LANES; ++lane) {
      const int64_t u = a.first + (i + std::min(lane, n - 1)) * a.step;
      row_[lane] = a.revenue + u * a.funds;
      level_[lane] = a.tolerance[u];
      words_[lane] = a.mask != nullptr ? a.mask + u * a.words : nullptr;
      own_[lane] = a.slots != nullptr ? a.slots[u] : static_cast<int>(a.k);
    }
  }

  int own(int lane) const { return own_[lane]; }

  // see(f, keys of fund f), for every fund.
  template <class See>
  void each_fund(See see) const {
    const int funds = static_cast<int>(a_.funds);
    if (a_.mask == nullptr)
      each_column(row_, funds, [&](int f, Singles column) { see(f, key<false>(f, column)); });
    else
      each_column(row_, funds, [&](int f, Singles column) { see(f, key<true>(f, column)); });
  }

 private:
  template <bool MASKED>
  Wholes key(int f, Singles column) const {
    const Wholes key = rows::key_of<Wholes, Reals>(__builtin_convertvector(column, Reals), funds_.keys,
                                                   funds_.constant[static_cast<size_t>(f)]);
    Wholes sees = level_ >= static_cast<long long>(a_.risk[f]);
    if constexpr (MASKED)
      for (int lane = 0; lane < LANES; ++lane)
        sees[lane] &= -static_cast<long long>(words_[lane][f >> 6] >> (f & 63) & 1);
    return sees ? key : Wholes{} + NO_FUND;
  }

  const Args& a_;
  const Funds<Args>& funds_;
  const float* row_[LANES];
  const uint64_t* words_[LANES];
  Wholes level_;
  int own_[LANES];
};

// One of the lanes, as rows/price.cuh wants it: its best funds were found for all lanes together.
class BestOfRow {
 public:
  BestOfRow(const long long* best, int lane) : best_(best + lane) {}
  long long next() { return best_[LANES * came_++]; }
  template <class Each>
  void each(int n, Each f) const {
    for (int j = 0; j < n; ++j) f(best_[LANES * j]);
  }

 private:
  const long long* best_;  // LANES keys for each place
  int came_ = 0;
};

// Instantiated for so many wanted funds; more are found one after the other.
constexpr int MOST_AT_ONCE = 5;

template <int N, class Args>
void best_at_once(const Group<Args>& group, Wholes* out) {
  Wholes best[N];
  for (int j = 0; j < N; ++j) best[j] = Wholes{} + NO_FUND;
  group.each_fund([&best](int, Wholes key) { rows::offer(best, key); });
  for (int j = 0; j < N; ++j) out[j] = best[j];
}

// out[0 ... wanted): the keys of the best funds; `all`: memory for those of every fund.
template <class Args>
void best_of(const Group<Args>& group, int wanted, int funds, Wholes* out, Wholes* all) {
  switch (wanted) {
    case 1:
      return best_at_once<1>(group, out);
    case 2:
      return best_at_once<2>(group, out);
    case 3:
      return best_at_once<3>(group, out);
    case 4:
      return best_at_once<4>(group, out);
    case MOST_AT_ONCE:
      return best_at_once<MOST_AT_ONCE>(group, out);
  }
  Wholes top = Wholes{} + NO_FUND;
  group.each_fund([&](int f, Wholes key) { top = rows::larger(top, all[f] = key); });
  for (int j = 0; j < wanted; ++j) {
    out[j] = top;
    top = rows::next_best([all](int f) { return all[f]; }, funds, top);
  }
}

// visit(row, own, i) of the rows lo ... hi - 1 of a pass, each with its `wanted` best funds.
template <class Args, class Visit>
void visit_rows(const Args& a, const Funds<Args>& about, int64_t lo, int64_t hi, int wanted, Visit visit) {
  const int funds = static_cast<int>(a.funds);
  std::vector<Wholes> best(static_cast<size_t>(wanted)), all(static_cast<size_t>(wanted > MOST_AT_ONCE ? funds : 0));
  for (int64_t i = lo; i < hi; i += LANES) {
    const int n = static_cast<int>(std::min<int64_t>(LANES, hi - i));
    const Group<Args> group(a, about, i, n);
    best_of(group, wanted, funds, best.data(), all.data());
    for (int lane = 0; lane < n; ++lane) {
      BestOfRow row(reinterpret_cast<const long long*>(best.data()), lane);
      visit(row, group.own(lane), i + lane);
    }
  }
}

// What the funds are worth to the customer of row i of a pass, in units, where one customer is looked at after the
// other; below every number where the customer may not see them.
template <class Args>
void value_row(const Args& a, int64_t i, double* out) {
  const int64_t u = a.first + i * a.step;
  const float* revenue = a.revenue + u * a.funds;
  const int8_t tolerance = a.tolerance[u];
  for (int64_t f = 0; f < a.funds; ++f) {
    const double value = rows::value_of(static_cast<double>(revenue[f]), a.scale, a.offset[f]);
    out[f] = tolerance >= a.risk[f] ? value : -HUGE_VAL;
  }
  if (a.mask == nullptr) return;
  for (int64_t f = 0; f < a.funds; ++f)
    if (!(a.mask[u * a.words + (f >> 6)] >> (f & 63) & 1)) out[f] = -HUGE_VAL;
}

// A sum of whole numbers that may not fit in 64 bits: high and low halves apart.  Threads have one each, side by side.
struct alignas(64) Halves {
  int64_t high = 0, low = 0;
  void add(int64_t value) {
    high += value >> 24;
    low += value & 0xffffff;
  }
  void add(const Halves& other) {
    high += other.high;
    low += other.low;
  }
};

}  // namespace ptofa
