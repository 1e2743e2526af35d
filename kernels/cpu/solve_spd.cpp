// Symmetric positive definite systems: see `solve_spd` in ptofa_gpu/allocation/dual.py.
#include <algorithm>
#include <cmath>

#include "boundary.hpp"

// The pivots first ... last - 1 of Cholesky's method, and with the last of all the solution.  a: (n, n), becomes U with
// U^T U = a in its upper half; x: (n,), the right side at first.
#define SOLVE_SPD(X) X(i64, n) X(i64, first) X(i64, last) X(out_f64, a) X(out_f64, x)
PTOFA_ENTRY(solve_spd, SOLVE_SPD)

namespace ptofa {

// Whole rows are taken off others, so that the compiler can use vectors and keep the order of every sum.
static void run(const solve_spd& s) {
  const int64_t n = s.n;
  double* const x = s.x;
  for (int64_t j = s.first; j < s.last; ++j) {
    double* const pivot = s.a + j * n;
    const double root = std::sqrt(std::max(pivot[j], 1e-300));
    for (int64_t i = j; i < n; ++i) pivot[i] /= root;
    x[j] /= root;
    for (int64_t i = j + 1; i < n; ++i) {
      const double factor = pivot[i];
      if (factor == 0.0) continue;
      double* __restrict const row = s.a + i * n;
      const double* __restrict const off = pivot;
      for (int64_t c = i; c < n; ++c) row[c] -= factor * off[c];
      x[i] -= factor * x[j];
    }
  }
  if (s.last < n) return;
  for (int64_t i = n - 1; i >= 0; --i) {
    const double* const row = s.a + i * n;
    for (int64_t c = n - 1; c > i; --c) x[i] -= row[c] * x[c];
    x[i] /= row[i];
  }
}

}  // namespace ptofa
