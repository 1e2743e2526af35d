// Customers who are indifferent between the same funds: see ptofa_gpu/allocation/ties.py.
#include "customers.hpp"
#include "pool.hpp"

// A kind of customers: `width` words with a bit for each fund (bit F: the empty slot) that is as good as the customer's
// worst choice, and then how many of these they hold.  seen: (most, width + 1), the kinds in order of appearance, of
// which there are known[0]; table: `size` of their numbers by hash, -1 where there is none.  kinds: of each customer.
// known[0] = -1: there are more than `most`.
// clang-format off
#define TIED_KINDS(X)                                                                                     \
  PTOFA_CUSTOMERS(X) X(in_i16, chosen) X(i64, width) X(i64, most) X(i64, size) X(out_i64, table)          \
  X(out_u64, seen) X(out_i64, known) X(out_i32, kinds)
PTOFA_ENTRY(tied_kinds, TIED_KINDS)

// share: (kinds, F + 1) how often each takes what, no fund more often than it has customers; has: whether it may; at:
// (kinds,) customers that had theirs before.  held: (rows, k), changed.
#define DEAL(X)                                                                                           \
  X(in_i32, kinds) X(in_i64, share) X(in_u8, has) X(in_i64, customers) X(i64, rows) X(i64, funds)         \
  X(i64, k) X(out_i64, at) X(out_i16, held)
PTOFA_ENTRY(deal, DEAL)
// clang-format on

namespace ptofa {

using rows::CLOSED, rows::EMPTY;

namespace {

// value: memory for one customer's.
void describe(const tied_kinds& a, int64_t u, double* value, uint64_t* kind) {
  const int16_t* chosen = a.chosen + u * a.k;
  value_row(a, u, value);
  double worst = HUGE_VAL;
  for (int64_t j = 0; j < a.k; ++j)
    if (chosen[j] != CLOSED) worst = std::min(worst, chosen[j] == EMPTY ? 0.0 : value[chosen[j]]);
  for (int64_t f = 0; f < a.funds; ++f)
    if (value[f] == worst) kind[f >> 6] |= uint64_t{1} << (f & 63);
  if (worst == 0.0) kind[a.funds >> 6] |= uint64_t{1} << (a.funds & 63);
  // several empty slots are several choices of the same
  for (int64_t j = 0; j < a.k; ++j)
    kind[a.width] += chosen[j] != CLOSED && (chosen[j] == EMPTY ? 0.0 : value[chosen[j]]) == worst;
}

// The number of a kind, new where it is; -1 where there is no room for one more.
int64_t number(const tied_kinds& a, const uint64_t* kind) {
  const size_t bytes = static_cast<size_t>(a.width + 1) * sizeof *kind;
  uint64_t h = 0;
  for (int64_t w = 0; w <= a.width; ++w) {
    h = (h ^ kind[w]) * 0xFF51AFD7ED558CCDull;
    h ^= h >> 33;
  }
  for (int64_t at = static_cast<int64_t>(h % static_cast<uint64_t>(a.size));; at = (at + 1) % a.size) {
    int64_t g = a.table[at];
    if (g < 0) {
      if (a.known[0] == a.most) return -1;
      g = a.table[at] = a.known[0]++;
      std::memcpy(a.seen + g * (a.width + 1), kind, bytes);
    }
    if (std::memcmp(a.seen + g * (a.width + 1), kind, bytes) == 0) return g;
  }
}

}  // namespace

static void run(const tied_kinds& a) {
  const int64_t each = rows_at_a_time(a.funds);
  std::vector<uint64_t> kind(static_cast<size_t>(a.rows * (a.width + 1)));
  share(parts_of(a.rows, each), static_cast<int>(a.threads), [&](int64_t part, int) {
    std::vector<double> value(static_cast<size_t>(a.funds));
    for (int64_t u = part * each; u < std::min(a.rows, (part + 1) * each); ++u)
      describe(a, u, value.data(), kind.data() + u * (a.width + 1));
  });
  for (int64_t u = 0; u < a.rows; ++u) {
    const int64_t g = number(a, kind.data() + u * (a.width + 1));
    if (g < 0) {
      a.known[0] = -1;
      return;
    }
    a.kinds[u] = static_cast<int32_t>(g);
  }
}

// Fund by fund around the circle of a kind's customers.
static void run(const deal& a) {
  for (int64_t i = 0; i < a.rows; ++i) {
    const int64_t g = a.kinds[i], n = a.customers[g], position = a.at[g]++;
    const int64_t* share = a.share + g * (a.funds + 1);
    const uint8_t* has = a.has + g * (a.funds + 1);
    int16_t* held = a.held + i * a.k;
    // forget the tied choices that are held, then put in those that are dealt
    for (int64_t j = 0; j < a.k; ++j)
      if (held[j] >= 0 && has[held[j]]) held[j] = EMPTY;
    int64_t start = 0;
    for (int64_t f = 0; f < a.funds; ++f) {
      // fund f goes to the customers start ... start + share - 1, counted round
      if (share[f] <= 0) continue;
      if (position - start + (position < start ? n : 0) < share[f]) {
        int16_t* const slot = std::find(held, held + a.k, static_cast<int16_t>(EMPTY));
        if (slot != held + a.k) *slot = static_cast<int16_t>(f);
      }
      start += share[f];
      if (start >= n) start -= n;
    }
  }
}

}  // namespace ptofa
