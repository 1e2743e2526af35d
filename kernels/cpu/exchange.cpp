// The exchange: successive shortest paths over the swaps of a working set.  See ptofa_gpu/allocation/exchange.py.
//
// Nodes are the funds and the empty slot (node F).  Arc a -> b is the cheapest swap of somebody in the working set who
// holds a and could have b; those outside offer none for less than `bound`.  Every arc's cheapest swap is at hand; one
// that was taken away is looked for again among the holders of a, who are few.
#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "customers.hpp"

// clang-format off
#define EXCHANGE_OPEN(X)                                                                                   \
  X(in_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, rows)         \
  X(i64, funds) X(in_f64, offset) X(f64, scale) X(in_i16, held) X(i64, k) X(in_i64, imbalance) X(i64, bound) \
  X(in_i64, slack_price) X(in_i64, unused) X(in_i64, free) X(i64, low_bonus) X(out_i64, handle)
// clang-format on
PTOFA_ENTRY(exchange_open, EXCHANGE_OPEN)

// status[0]: of the run; status[1], status[2]: paths and moves so far.
// clang-format off
#define EXCHANGE_RUN(X) X(i64, handle) X(i64, work) X(out_i64, status)
// clang-format on
PTOFA_ENTRY(exchange_run, EXCHANGE_RUN)

// clang-format off
#define EXCHANGE_READ(X) X(i64, handle) X(out_i16, held) X(out_i64, imbalance) X(out_i64, potential)
// clang-format on
PTOFA_ENTRY(exchange_read, EXCHANGE_READ)

// clang-format off
#define EXCHANGE_CLOSE(X) X(i64, handle)
// clang-format on
PTOFA_ENTRY(exchange_close, EXCHANGE_CLOSE)

namespace ptofa {
namespace {

constexpr int64_t INF_COST = int64_t{1} << 62;
constexpr int64_t UNREACHED = INF_COST / 2;  // farther than any path, nearer than an arc of infinite cost leads
constexpr double NEVER = std::numeric_limits<double>::infinity();
enum Outcome : int64_t { FINISHED = 0, NEEDS_CUSTOMERS = 1, STOPPED = 2 };

class Exchange {
 public:
  explicit Exchange(const exchange_open& a)
      : funds_(a.funds), size_(a.funds + 1), k_(a.k), rows_(a.rows), bound_(a.bound), low_bonus_(a.low_bonus) {
    const auto n = static_cast<size_t>(size_);
    imbalance_.assign(a.imbalance, a.imbalance + size_);
    price_.assign(a.slack_price, a.slack_price + funds_);
    unused_.assign(a.unused, a.unused + funds_);
    free_.assign(a.free, a.free + funds_);
    held_.assign(a.held, a.held + rows_ * k_);
    potential_.resize(n), distance_.resize(n), front_.resize(n), parent_.resize(n), order_.resize(n),
        touched_.resize(n);
    cost_.assign(n * n, INF_COST), who_.assign(n * n, -1);
    value_.resize(static_cast<size_t>(rows_ * funds_));
    of_slot_.resize(static_cast<size_t>(rows_ * k_)), place_.resize(static_cast<size_t>(rows_ * k_));
    holders_.resize(n);
    for (int64_t u = 0; u < rows_; ++u) add_customer(a, u);
  }

  int64_t run(int64_t work) {
    work_ = work;
    while (work_ > 0) {
      if (std::all_of(imbalance_.begin(), imbalance_.end(), [](int64_t n) { return n == 0; })) return FINISHED;
      if (next_ == found_) {  // the last search's paths are done
        if (searched_ && paths_ == paths_before_) return NEEDS_CUSTOMERS;
        search();
      }
      for (; next_ < found_ && work_ > 0; ++next_) serve(order_[static_cast<size_t>(next_)]);
    }
    return STOPPED;
  }

  void read(const exchange_read& a) const {
    std::copy(held_.begin(), held_.end(), a.held);
    std::copy(imbalance_.begin(), imbalance_.end(), a.imbalance);
    std::copy(potential_.begin(), potential_.end(), a.potential);
  }

  int64_t paths() const { return paths_; }
  int64_t moves() const { return moves_; }

 private:
  // Who holds a fund, and what that is worth to them.
  struct Holder {
    int64_t customer, slot;
    double worth;
  };

  size_t at(int64_t a, int64_t b) const { return static_cast<size_t>(a * size_ + b); }
  double& value(int64_t u, int64_t f) { return value_[static_cast<size_t>(u * funds_ + f)]; }
  int64_t node(int16_t fund) const { return fund == rows::EMPTY ? funds_ : fund; }

  // -- the working set -----------------------------------------------------------------------------------------------
  // `value`: in units; minus infinity for what the customer may not see, or holds.
  void add_customer(const exchange_open& a, int64_t u) {
    for (int64_t f = 0; f < funds_; ++f) {
      const bool sees =
          a.tolerance[u] >= a.risk[f] && (a.mask == nullptr || (a.mask[u * a.words + (f >> 6)] >> (f & 63) & 1) != 0);
      const double own = rows::value_of(static_cast<double>(a.revenue[u * funds_ + f]), a.scale, a.offset[f]);
      value(u, f) = sees ? own : -NEVER;
    }
    for (int64_t j = 0; j < k_; ++j) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
      if (fund == rows::CLOSED) continue;
      double worth = 0.0;
      if (fund >= 0) {
        // also of one that the customer may not see: it is theirs
        worth = rows::value_of(static_cast<double>(a.revenue[u * funds_ + fund]), a.scale, a.offset[fund]);
        value(u, fund) = -NEVER;
      }
      hold(u, j, node(fund), worth);
    }
    for (int64_t j = 0; j < k_; ++j) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
      if (fund != rows::CLOSED) offer_all(u, node(fund), of_slot_[static_cast<size_t>(u * k_ + j)]);
    }
  }

  void hold(int64_t u, int64_t j, int64_t a, double worth) {
    auto& list = holders_[static_cast<size_t>(a)];
    const auto slot = static_cast<size_t>(u * k_ + j);
    of_slot_[slot] = worth, place_[slot] = static_cast<int64_t>(list.size());
    list.push_back({u, u * k_ + j, worth});
  }

  void let_go(int64_t u, int64_t j, int64_t a) {
    auto& list = holders_[static_cast<size_t>(a)];
    const auto slot = static_cast<size_t>(u * k_ + j);
    list[static_cast<size_t>(place_[slot])] = list.back();
    place_[static_cast<size_t>(list.back().slot)] = place_[slot];
    list.pop_back();
  }

  // -- arcs: the cheapest swap, equal ones of the first customer
  // -------------------------------------------------------
  void offer(int64_t a, int64_t b, int64_t cost, int64_t u) {
    const size_t arc = at(a, b);
    if (cost < cost_[arc] || (cost == cost_[arc] && u < who_[arc])) cost_[arc] = cost, who_[arc] = u;
  }

  // What customer u, who holds a, could have in place of it.
  void offer_all(int64_t u, int64_t a, double worth) {
    for (int64_t b = 0; b < funds_; ++b) {
      const double other = value(u, b);
      if (other > -NEVER) offer(a, b, static_cast<int64_t>(worth - other), u);
    }
    if (a != funds_) offer(a, funds_, static_cast<int64_t>(worth), u);
  }

  void look_again(int64_t a, int64_t b) {
    double least = NEVER;
    int64_t who = -1;
    for (const Holder& h : holders_[static_cast<size_t>(a)]) {
      const double cost = b == funds_ ? h.worth : h.worth - value(h.customer, b);
      if (cost < least || (cost == least && cost < NEVER && h.customer < who)) least = cost, who = h.customer;
    }
    const size_t arc = at(a, b);
    cost_[arc] = who < 0 ? INF_COST : static_cast<int64_t>(least), who_[arc] = who;
    work_ -= static_cast<int64_t>(holders_[static_cast<size_t>(a)].size());
  }

  // Give customer u fund b in place of a.
  void move(int64_t u, int64_t a, int64_t b) {
    if (u < 0) throw std::logic_error("a swap has gone that a path was made of");
    int64_t j = 0;
    while (held_[static_cast<size_t>(u * k_ + j)] == rows::CLOSED || node(held_[static_cast<size_t>(u * k_ + j)]) != a)
      ++j;
    const double before = of_slot_[static_cast<size_t>(u * k_ + j)], after = b == funds_ ? 0.0 : value(u, b);
    let_go(u, j, a);
    held_[static_cast<size_t>(u * k_ + j)] = b == funds_ ? static_cast<int16_t>(rows::EMPTY) : static_cast<int16_t>(b);
    if (a != funds_) value(u, a) = before;
    if (b != funds_) value(u, b) = -NEVER;
    hold(u, j, b, after);
    for (int64_t c = 0; c < size_; ++c)
      if (c != a && who_[at(a, c)] == u) look_again(a, c);
    for (int64_t i = 0; i < k_; ++i) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + i)];
      if (i == j || fund == rows::CLOSED) continue;
      const int64_t other = node(fund);
      if (b != funds_ && who_[at(other, b)] == u) look_again(other, b);
      if (a != funds_) offer(other, a, static_cast<int64_t>(of_slot_[static_cast<size_t>(u * k_ + i)] - before), u);
    }
    offer_all(u, b, after);
    work_ -= size_;
    ++moves_;
  }

  // -- leaving an exposure unused costs its price, and a bonus beyond the free ones
  // --------------------------------------
  int64_t slack_cost(int64_t a, int64_t b) const {
    if (a == funds_ && b != funds_) {
      const auto f = static_cast<size_t>(b);
      return price_[f] + (unused_[f] < free_[f] ? 0 : low_bonus_);
    }
    if (b == funds_ && a != funds_ && unused_[static_cast<size_t>(a)] > 0) {
      const auto f = static_cast<size_t>(a);
      return -price_[f] - (unused_[f] <= free_[f] ? 0 : low_bonus_);
    }
    return INF_COST;
  }
  int64_t slack_limit(int64_t a, int64_t b) const {
    if (a == funds_) {
      const auto f = static_cast<size_t>(b);
      return unused_[f] < free_[f] ? free_[f] - unused_[f] : INF_COST;
    }
    const auto f = static_cast<size_t>(a);
    return unused_[f] <= free_[f] ? unused_[f] : unused_[f] - free_[f];
  }
  int64_t cost(int64_t a, int64_t b) const { return std::min({cost_[at(a, b)], bound_, slack_cost(a, b)}); }
  bool by_slack(int64_t a, int64_t b) const { return slack_cost(a, b) <= std::min(cost_[at(a, b)], bound_); }
  // Whether an arc's cost is that of a swap or of leaving quota unused, and not what those outside may offer.
  bool is_real(int64_t a, int64_t b) const {
    return (who_[at(a, b)] >= 0 && cost_[at(a, b)] <= bound_ && cost_[at(a, b)] == cost(a, b)) ||
           (slack_cost(a, b) < INF_COST && slack_cost(a, b) == cost(a, b));
  }

  // -- paths
  // -----------------------------------------------------------------------------------------------------------
  // Dijkstra from every node with too much until every node with too little is reached; potentials follow.
  void search() {
    int64_t sinks = 0, far = 0;
    for (int64_t v = 0; v < size_; ++v) {
      const auto i = static_cast<size_t>(v);
      distance_[i] = front_[i] = imbalance_[i] > 0 ? 0 : UNREACHED;
      parent_[i] = -1, touched_[i] = false;
      sinks += imbalance_[i] < 0;
    }
    found_ = next_ = 0, reach_ = -1;
    while (sinks > 0) {
      const auto least = std::min_element(front_.begin(), front_.end());
      if (*least == UNREACHED) break;
      const int64_t a = least - front_.begin(), here = *least;
      if (here < far || found_ == size_) throw std::logic_error("a swap gains at the prices of an exchange");
      far = here;
      *least = UNREACHED;
      order_[static_cast<size_t>(found_++)] = a;
      if (imbalance_[static_cast<size_t>(a)] < 0) --sinks, reach_ = here;
      const int64_t base = here + potential_[static_cast<size_t>(a)];
      for (int64_t b = 0; b < size_; ++b) {
        if (b == a) continue;
        const auto i = static_cast<size_t>(b);
        // no reduced cost is negative, so no node that was visited comes nearer
        const int64_t there = base + cost(a, b) - potential_[i];
        if (there < distance_[i]) distance_[i] = front_[i] = there, parent_[i] = a;
      }
      work_ -= size_;
    }
    // where some fund cannot be reached at all the prices of those that can are still right
    if (reach_ >= 0)
      for (size_t v = 0; v < potential_.size(); ++v) potential_[v] += std::min(distance_[v], reach_);
    paths_before_ = paths_, searched_ = true;
  }

  // Move customers along the path to `sink`, as often as it costs the same, if it may be taken.
  void serve(int64_t sink) {
    if (imbalance_[static_cast<size_t>(sink)] >= 0 || distance_[static_cast<size_t>(sink)] > reach_) return;
    path_.clear();
    for (int64_t v = sink; v >= 0; v = parent_[static_cast<size_t>(v)]) {
      if (touched_[static_cast<size_t>(v)]) return;
      path_.push_back(v);
    }
    std::reverse(path_.begin(), path_.end());
    if (!is_tight()) return;
    for (const int64_t v : path_) touched_[static_cast<size_t>(v)] = true;
    ++paths_;
    do {
      take_path();
    } while (is_tight());
  }

  // Whether the path can be taken at the cost that the search found for it.
  bool is_tight() const {
    if (imbalance_[static_cast<size_t>(path_.front())] <= 0 || imbalance_[static_cast<size_t>(path_.back())] >= 0)
      return false;
    for (size_t s = 0; s + 1 < path_.size(); ++s) {
      const int64_t a = path_[s], b = path_[s + 1];
      const int64_t reduced = cost(a, b) + potential_[static_cast<size_t>(a)] - potential_[static_cast<size_t>(b)];
      if (reduced != 0 || !is_real(a, b)) return false;
    }
    return true;
  }

  void take_path() {
    int64_t amount =
        std::min(imbalance_[static_cast<size_t>(path_.front())], -imbalance_[static_cast<size_t>(path_.back())]);
    for (size_t s = 0; s + 1 < path_.size(); ++s) {
      const int64_t a = path_[s], b = path_[s + 1];
      amount = std::min(amount, by_slack(a, b) ? slack_limit(a, b) : 1);
    }
    for (size_t s = 0; s + 1 < path_.size(); ++s) {
      const int64_t a = path_[s], b = path_[s + 1];
      if (!by_slack(a, b))
        move(who_[at(a, b)], a, b);
      else if (a == funds_)
        unused_[static_cast<size_t>(b)] += amount;
      else
        unused_[static_cast<size_t>(a)] -= amount;
    }
    imbalance_[static_cast<size_t>(path_.front())] -= amount;
    imbalance_[static_cast<size_t>(path_.back())] += amount;
    work_ -= static_cast<int64_t>(path_.size());
  }

  const int64_t funds_, size_, k_, rows_, bound_, low_bonus_;
  std::vector<int64_t> imbalance_, price_, unused_, free_;
  std::vector<int16_t> held_;
  std::vector<double> value_, of_slot_;  // (rows, funds); (rows, k)
  std::vector<int64_t> place_;           // (rows, k), among the holders of what is in the slot
  std::vector<std::vector<Holder>> holders_;
  std::vector<int64_t> cost_, who_;  // (size, size)
  std::vector<int64_t> potential_, distance_, front_, parent_, order_, path_;
  std::vector<char> touched_;
  int64_t found_ = 0, next_ = 0, reach_ = -1, paths_ = 0, paths_before_ = 0, moves_ = 0, work_ = 0;
  bool searched_ = false;
};

Exchange* exchange_of(int64_t handle) { return reinterpret_cast<Exchange*>(handle); }

}  // namespace

static void run(const exchange_open& a) {
  a.handle[0] = reinterpret_cast<int64_t>(std::make_unique<Exchange>(a).release());
}

static void run(const exchange_run& a) {
  Exchange* const exchange = exchange_of(a.handle);
  a.status[0] = exchange->run(a.work);
  a.status[1] = exchange->paths();
  a.status[2] = exchange->moves();
}

static void run(const exchange_read& a) { exchange_of(a.handle)->read(a); }

static void run(const exchange_close& a) { delete exchange_of(a.handle); }

}  // namespace ptofa
