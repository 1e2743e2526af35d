// What a plan adds up to, and its slots in order: see ptofa_gpu/ops/totals.py and order.py.
#include "totals.cuh"

#include <algorithm>
#include <cstring>
#include <vector>

#include "boundary.hpp"
#include "pool.hpp"

// clang-format off
#define COUNT_VALUES(X) X(in_i8, values) X(i64, bytes) X(i64, n) X(i64, lowest) X(i64, size) X(i64, threads) X(out_i64, counts)
// clang-format on
PTOFA_ENTRY(count_values, COUNT_VALUES)

// clang-format off
#define EARNED(X) X(in_f32, revenue) X(in_i16, chosen) X(i64, rows) X(i64, funds) X(i64, k) X(i64, threads) X(out_i64, sums)
// clang-format on
PTOFA_ENTRY(earned, EARNED)

// clang-format off
#define ORDER_SLOTS(X) X(in_f32, revenue) X(i64, rows) X(i64, funds) X(i64, k) X(i64, threads) X(out_i16, chosen)
// clang-format on
PTOFA_ENTRY(order_slots, ORDER_SLOTS)

namespace ptofa {
namespace {

constexpr int64_t EACH = 1 << 14;  // entries, or rows, that a thread takes at a time

// count(i, sums) of 0 <= i < n, added up over threads.
template <class Count>
void tally(int64_t n, int64_t size, int64_t threads, int64_t* out, Count count) {
  const int64_t stride = (size + 31) / 16 * 16;  // what threads count lies apart
  std::vector<int64_t> all(static_cast<size_t>(stride * threads));
  share((n + EACH - 1) / EACH, static_cast<int>(threads), [&](int64_t part, int slot) {
    int64_t* const own = all.data() + slot * stride;
    for (int64_t i = part * EACH; i < std::min(n, (part + 1) * EACH); ++i) count(i, own);
  });
  for (int64_t slot = 0; slot < threads; ++slot)
    for (int64_t i = 0; i < size; ++i) out[i] += all[static_cast<size_t>(slot * stride + i)];
}

template <class Entry>
void count_entries(const count_values& a) {
  const auto* const values = reinterpret_cast<const Entry*>(a.values);
  tally(a.n, a.size, a.threads, a.counts, [&](int64_t i, int64_t* own) { ++own[values[i] - a.lowest]; });
}

}  // namespace

// `values` are of so many bytes each.
static void run(const count_values& a) { a.bytes == 1 ? count_entries<int8_t>(a) : count_entries<int16_t>(a); }

static void run(const earned& a) {
  tally(a.rows, 2 * rows::EXPONENTS, a.threads, a.sums, [&](int64_t u, int64_t* own) {
    for (int64_t j = 0; j < a.k; ++j) {
      const int16_t fund = a.chosen[u * a.k + j];
      if (fund < 0) continue;
      unsigned bits;
      std::memcpy(&bits, a.revenue + u * a.funds + fund, sizeof bits);
      const rows::Mantissa mantissa = rows::mantissa_of(bits);
      own[mantissa.place] += mantissa.value;
    }
  });
}

static void run(const order_slots& a) {
  share((a.rows + EACH - 1) / EACH, static_cast<int>(a.threads), [&](int64_t part, int) {
    for (int64_t u = part * EACH; u < std::min(a.rows, (part + 1) * EACH); ++u)
      rows::order_slots(a.revenue + u * a.funds, static_cast<int>(a.k), a.chosen + u * a.k);
  });
}

}  // namespace ptofa
