// Which customers may see which funds: what passes without prices read.
#pragma once
#include "boundary.hpp"

// mask: null where no pair is excluded.
// clang-format off
#define PTOFA_LIMITS(X)                                                                           \
  X(in_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, rows) \
  X(i64, funds) X(i64, threads)
// clang-format on

namespace ptofa {

template <class Args>
inline bool may_see(const Args& a, int64_t u, int64_t f) {
  return a.tolerance[u] >= a.risk[f] && (a.mask == nullptr || (a.mask[u * a.words + (f >> 6)] >> (f & 63) & 1) != 0);
}

}  // namespace ptofa
