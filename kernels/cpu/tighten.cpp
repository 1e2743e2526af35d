// Funds between which customers are nearly indifferent: see ptofa_gpu/allocation/tighten.py.
#include "customers.hpp"

// within: in units.  parent, apart: (funds + 1,) the node above each in its tree, itself for a root, and by how much
// the price rises more than that one's; the last node is the empty slot, of fixed price.  trees: (1,) how many there
// are.
#define TIGHTEN(X) \
  PTOFA_CUSTOMERS(X) X(in_i16, chosen) X(f64, within) X(out_i64, parent) X(out_f64, apart) X(out_i64, trees)
PTOFA_ENTRY(tighten, TIGHTEN)

namespace ptofa {
namespace {

class Trees {
 public:
  explicit Trees(const tighten& a) : parent_(a.parent), apart_(a.apart), count_(a.trees[0]) {}

  // Lets f's price rise by `more` more than g's, unless one follows from the other.  What is fixed stays a root.
  void join(int64_t f, int64_t g, double more) {
    const auto [a, of_a] = root(f);
    const auto [b, of_b] = root(g);
    if (a == b) return;
    if (a < b)
      parent_[a] = b, apart_[a] = more + of_b - of_a;
    else
      parent_[b] = a, apart_[b] = of_a - of_b - more;
    --count_;
  }

 private:
  struct Place {
    int64_t root;
    double apart;
  };

  // Paths are cut short on the way.
  Place root(int64_t f) {
    Place top{f, 0.0};
    for (; parent_[top.root] != top.root; top.root = parent_[top.root]) top.apart += apart_[top.root];
    double left = top.apart;
    while (f != top.root && parent_[f] != top.root) {
      const int64_t above = parent_[f];
      const double own = apart_[f];
      parent_[f] = top.root;
      apart_[f] = left;
      left -= own;
      f = above;
    }
    return top;
  }

  int64_t* parent_;
  double* apart_;
  int64_t& count_;
};

}  // namespace

static void run(const tighten& a) {
  using rows::CLOSED, rows::EMPTY;
  Trees trees(a);
  std::vector<double> value(static_cast<size_t>(a.funds) + 1);  // last: the empty slot
  std::vector<char> held(value.size());
  const auto node = [&a](int16_t fund) { return static_cast<size_t>(fund == EMPTY ? a.funds : fund); };
  for (int64_t u = 0; u < a.rows && a.trees[0] > 1; ++u) {
    const int16_t* chosen = a.chosen + u * a.k;
    value_row(a, u, value.data());
    value.back() = 0.0;
    std::fill(held.begin(), held.end(), char{0});
    double worst = HUGE_VAL, best = -HUGE_VAL;  // of what is held, and of what is not
    size_t last = value.size();
    for (int64_t j = 0; j < a.k; ++j) {
      if (chosen[j] == CLOSED) continue;
      const size_t has = node(chosen[j]);
      held[has] = 1;
      if (value[has] <= worst) worst = value[has], last = has;
    }
    if (last == value.size()) continue;
    for (size_t f = 0; f < value.size(); ++f)
      if (!held[f]) best = std::max(best, value[f]);
    if (worst - best > a.within) continue;
    for (size_t f = 0; f < value.size(); ++f) {
      const bool tied = held[f] ? value[f] <= best + a.within : value[f] >= worst - a.within;
      if (f != last && tied) trees.join(static_cast<int64_t>(f), static_cast<int64_t>(last), value[f] - worst);
    }
  }
}

}  // namespace ptofa
