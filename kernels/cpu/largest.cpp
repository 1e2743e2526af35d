// How large E is where it can matter: see ptofa_gpu/ops/largest.py.
#include <algorithm>
#include <cstring>
#include <vector>

#include "customers.hpp"
#include "largest.cuh"
#include "pool.hpp"

// mask, slots: null where no pair is excluded and where everybody has slots.  tolerance: null where everybody may see
// every fund, and each may have an exposure.  top[0]: over the pairs that can be chosen; top[1]: over those within the
// limits.
// clang-format off
#define LARGEST(X)                                                                                    \
  X(in_i32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(in_i8, slots) \
  X(in_u8, wanted) X(i64, rows) X(i64, funds) X(i64, threads) X(out_i32, top)
// clang-format on
PTOFA_ENTRY(largest, LARGEST)

namespace ptofa {
namespace {

// As many side by side as the level has; four of them, because each maximum waits for the one before.
constexpr int WIDTH = sizeof(rows::Bits) / 4, AT_ONCE = 4;

int32_t largest_of(const int32_t* bits, int64_t n) {
  rows::Bits top[AT_ONCE] = {};
  int64_t i = 0;
  for (; i + AT_ONCE * WIDTH <= n; i += AT_ONCE * WIDTH) {
    for (int j = 0; j < AT_ONCE; ++j) {
      rows::Bits x;
      std::memcpy(&x, bits + i + j * WIDTH, sizeof x);
      top[j] = rows::larger(top[j], rows::size_of(x));
    }
  }
  int32_t out = 0;
  for (const rows::Bits& t : top)
    for (int lane = 0; lane < WIDTH; ++lane) out = rows::larger(out, static_cast<int32_t>(t[lane]));
  for (; i < n; ++i) out = rows::larger(out, rows::size_of(bits[i]));
  return out;
}

struct Top {
  int32_t chosen = 0, seen = 0;
};

void look(const largest& a, int64_t u, Top& top) {
  const bool has_slots = a.slots == nullptr || a.slots[u] > 0;
  for (int64_t f = 0; f < a.funds; ++f) {
    if (a.tolerance[u] < a.risk[f]) continue;
    if (a.mask != nullptr && !(a.mask[u * a.words + (f >> 6)] >> (f & 63) & 1)) continue;
    const int32_t size = rows::size_of(a.revenue[u * a.funds + f]);
    top.seen = rows::larger(top.seen, size);
    if (has_slots && a.wanted[f]) top.chosen = rows::larger(top.chosen, size);
  }
}

}  // namespace

static void run(const largest& a) {
  const int64_t each = std::max<int64_t>(1, (int64_t{1} << 17) / a.funds);
  std::vector<Top> tops(static_cast<size_t>(a.threads));
  share((a.rows + each - 1) / each, static_cast<int>(a.threads), [&](int64_t part, int slot) {
    Top top;
    const int64_t lo = part * each, hi = std::min(a.rows, lo + each);
    if (a.tolerance == nullptr) {
      top.seen = rows::larger(top.seen, largest_of(a.revenue + lo * a.funds, (hi - lo) * a.funds));
      top.chosen = top.seen;
    } else {
      for (int64_t u = lo; u < hi; ++u) look(a, u, top);
    }
    Top& all = tops[static_cast<size_t>(slot)];
    all = {rows::larger(all.chosen, top.chosen), rows::larger(all.seen, top.seen)};
  });
  for (const Top& top : tops) {
    a.top[0] = rows::larger(a.top[0], top.chosen);
    a.top[1] = rows::larger(a.top[1], top.seen);
  }
}

}  // namespace ptofa
