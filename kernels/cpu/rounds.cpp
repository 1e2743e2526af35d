// Where a round of the heuristic ends, and what it commits: see ptofa_gpu/ops/select.py, commit.py and sums.py.
#include <algorithm>
#include <cmath>
#include <vector>

#include "limits.hpp"
#include "pool.hpp"

// clang-format off
#define DIGIT_HISTOGRAM(X)                                                                             \
  X(in_u64, key) X(in_i16, picks) X(in_u8, done) X(i64, rows) X(i64, k) X(i64, funds) X(in_u64, prefix) \
  X(i64, above) X(i64, shift) X(i64, bits) X(i64, threads) X(out_i64, counts)
// clang-format on
PTOFA_ENTRY(digit_histogram, DIGIT_HISTOGRAM)

// clang-format off
#define CHOOSE_DIGIT(X) \
  X(in_i64, counts) X(i64, funds) X(i64, bits) X(in_i64, open_quota) X(out_i64, base) X(out_i64, digit)
// clang-format on
PTOFA_ENTRY(choose_digit, CHOOSE_DIGIT)

// clang-format off
#define LAST_TIE(X)                                                                                   \
  X(in_u64, key) X(in_i16, picks) X(in_u8, done) X(i64, rows) X(i64, k) X(in_u64, cut) X(in_i64, open_quota) \
  X(out_i64, base) X(out_i64, row)
// clang-format on
PTOFA_ENTRY(last_tie, LAST_TIE)

// clang-format off
#define COMMIT(X)                                                                                     \
  PTOFA_LIMITS(X)                                                                                     \
  X(in_u64, key) X(in_i16, picks) X(out_u8, done) X(i64, k) X(in_u64, cut_key) X(i64, cut_row) X(f64, scale) \
  X(out_i16, chosen) X(out_i64, counts) X(out_i64, sums) X(out_i64, served)
// clang-format on
PTOFA_ENTRY(commit, COMMIT)

// clang-format off
#define COLUMN_SUMS(X) PTOFA_LIMITS(X) X(f64, scale) X(out_i64, sums)
// clang-format on
PTOFA_ENTRY(column_sums, COLUMN_SUMS)

namespace ptofa {
namespace {

constexpr int64_t ROWS = 8192;  // that a thread takes at a time

int64_t parts_of(int64_t rows) { return (rows + ROWS - 1) / ROWS; }

// value x scale, rounded to a whole number, halves to even: sums of these are exact, in any order.
int64_t fixed_point(float value, double scale) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(value) * scale));
}

// Numbers that each thread adds up for itself, far enough apart, and all of them in the end.
class Sums {
 public:
  Sums(int64_t n, int64_t threads) : n_(n), stride_((n + 31) / 16 * 16), all_(static_cast<size_t>(stride_ * threads)) {}
  int64_t* of(int slot) { return all_.data() + slot * stride_; }
  void add_to(int64_t* out) const {
    for (size_t at = 0; at < all_.size(); at += static_cast<size_t>(stride_))
      for (int64_t i = 0; i < n_; ++i) out[i] += all_[at + static_cast<size_t>(i)];
  }

 private:
  int64_t n_, stride_;
  std::vector<int64_t> all_;
};

template <class Args>
void add_row(const Args& a, int64_t u, int64_t* sums) {
  for (int64_t f = 0; f < a.funds; ++f)
    if (may_see(a, u, f)) sums[f] += fixed_point(a.revenue[u * a.funds + f], a.scale);
}

}  // namespace

// counts[f, digit] += the waiting rows that pick f and share prefix[0] in the bits from `above` up.
static void run(const digit_histogram& a) {
  const int64_t size = int64_t{1} << a.bits;
  const uint64_t low = static_cast<uint64_t>(size - 1);
  Sums sums(a.funds * size, a.threads);
  share(parts_of(a.rows), static_cast<int>(a.threads), [&](int64_t part, int slot) {
    int64_t* const counts = sums.of(slot);
    for (int64_t u = part * ROWS; u < std::min(a.rows, (part + 1) * ROWS); ++u) {
      if (a.done[u] || (a.above < 64 && a.key[u] >> a.above != a.prefix[0])) continue;
      const int64_t digit = static_cast<int64_t>(a.key[u] >> a.shift & low);
      for (int64_t j = 0; j < a.k; ++j)
        if (a.picks[u * a.k + j] >= 0) ++counts[a.picks[u * a.k + j] * size + digit];
    }
  });
  sums.add_to(a.counts);
}

// digit[0]: the highest at which some fund's count, with base[f] above it, meets its quota, -1 for none; base[f] then
// counts what lies above that digit.
static void run(const choose_digit& a) {
  const int64_t size = int64_t{1} << a.bits;
  int64_t best = -1;
  for (int64_t f = 0; f < a.funds; ++f) {
    if (a.open_quota[f] <= 0) continue;
    int64_t count = a.base[f];
    for (int64_t digit = size - 1; digit > best; --digit) {
      count += a.counts[f * size + digit];
      if (count >= a.open_quota[f]) best = digit;
    }
  }
  if (best >= 0)
    for (int64_t f = 0; f < a.funds; ++f)
      for (int64_t digit = best + 1; digit < size; ++digit) a.base[f] += a.counts[f * size + digit];
  a.digit[0] = best;
}

// row[0]: among the rows whose key is cut[0], the first at which some fund's count base[f] meets its quota; -1 for
// none.
static void run(const last_tie& a) {
  a.row[0] = -1;
  for (int64_t u = 0; u < a.rows; ++u) {
    if (a.key[u] != a.cut[0] || a.done[u]) continue;
    bool full = false;
    for (int64_t j = 0; j < a.k; ++j) {
      const int16_t f = a.picks[u * a.k + j];
      if (f >= 0) full |= ++a.base[f] >= a.open_quota[f];
    }
    if (full) {
      a.row[0] = u;
      return;
    }
  }
}

// counts[F], sums[F] and served[1] are added to.
static void run(const commit& a) {
  Sums found(2 * a.funds + 1, a.threads);
  share(parts_of(a.rows), static_cast<int>(a.threads), [&](int64_t part, int slot) {
    int64_t *const counts = found.of(slot), *const sums = counts + a.funds, *const served = sums + a.funds;
    for (int64_t u = part * ROWS; u < std::min(a.rows, (part + 1) * ROWS); ++u) {
      const uint64_t key = a.key[u];
      if (a.done[u] || key < a.cut_key[0] || (key == a.cut_key[0] && u > a.cut_row)) continue;
      a.done[u] = 1;
      ++*served;
      for (int64_t j = 0; j < a.k; ++j) {
        const int16_t f = a.chosen[u * a.k + j] = a.picks[u * a.k + j];
        if (f >= 0) ++counts[f];
      }
      add_row(a, u, sums);
    }
  });
  std::vector<int64_t> all(static_cast<size_t>(2 * a.funds + 1));
  found.add_to(all.data());
  for (int64_t f = 0; f < a.funds; ++f) {
    a.counts[f] += all[static_cast<size_t>(f)];
    a.sums[f] += all[static_cast<size_t>(a.funds + f)];
  }
  a.served[0] += all.back();
}

static void run(const column_sums& a) {
  Sums found(a.funds, a.threads);
  share(parts_of(a.rows), static_cast<int>(a.threads), [&](int64_t part, int slot) {
    int64_t* const sums = found.of(slot);
    for (int64_t u = part * ROWS; u < std::min(a.rows, (part + 1) * ROWS); ++u) add_row(a, u, sums);
  });
  found.add_to(a.sums);
}

}  // namespace ptofa
