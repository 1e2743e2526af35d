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
  X(out_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, rows)         \
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
constexpr float GONE = -std::numeric_limits<float>::infinity();
// Swaps of an arc that are kept for when the cheapest has gone: at least so many, and one in so many that are offered.
constexpr size_t SPARES = 16, ONE_IN = 256;
enum Outcome : int64_t { FINISHED = 0, NEEDS_CUSTOMERS = 1, STOPPED = 2 };

class Exchange {
 public:
  explicit Exchange(const exchange_open& a)
      : funds_(a.funds),
        size_(a.funds + 1),
        k_(a.k),
        rows_(a.rows),
        bound_(a.bound),
        low_bonus_(a.low_bonus),
        scale_(a.scale),
        offset_(a.offset, a.offset + a.funds),
        revenue_(a.revenue) {
    const auto n = static_cast<size_t>(size_);
    imbalance_.assign(a.imbalance, a.imbalance + size_);
    price_.assign(a.slack_price, a.slack_price + funds_);
    unused_.assign(a.unused, a.unused + funds_);
    free_.assign(a.free, a.free + funds_);
    held_.assign(a.held, a.held + rows_ * k_);
    potential_.resize(n), distance_.resize(n), front_.resize(n), parent_.resize(n), order_.resize(n),
        touched_.resize(n);
    cost_.assign(n * n, NEVER), who_.assign(n * n, -1), spare_.resize(n * n);
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
  // What a fund is worth, in units; minus infinity where the customer may not see it, or holds it.
  double value(int64_t u, int64_t f) const {
    return rows::value_of(static_cast<double>(revenue_[u * funds_ + f]), scale_, offset_[static_cast<size_t>(f)]);
  }
  int64_t node(int16_t fund) const { return fund == rows::EMPTY ? funds_ : fund; }

  // -- the working set -----------------------------------------------------------------------------------------------
  void add_customer(const exchange_open& a, int64_t u) {
    float* const own = revenue_ + u * funds_;
    for (int64_t j = 0; j < k_; ++j) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
      if (fund != rows::CLOSED) hold(u, j, node(fund), fund >= 0 ? own[fund] : 0.0f);
    }
    for (int64_t f = 0; f < funds_; ++f) {
      const bool sees =
          a.tolerance[u] >= a.risk[f] && (a.mask == nullptr || (a.mask[u * a.words + (f >> 6)] >> (f & 63) & 1) != 0);
      own[f] = sees ? own[f] : GONE;
    }
    for (int64_t j = 0; j < k_; ++j)
      if (held_[static_cast<size_t>(u * k_ + j)] >= 0) own[held_[static_cast<size_t>(u * k_ + j)]] = GONE;
    for (int64_t j = 0; j < k_; ++j) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
      if (fund != rows::CLOSED) offer_first(u, node(fund), worth_of(u, j));
    }
  }

  // `revenue` of what is in the slot, and what that is worth.
  void hold(int64_t u, int64_t j, int64_t a, float revenue) {
    auto& list = holders_[static_cast<size_t>(a)];
    const auto slot = static_cast<size_t>(u * k_ + j);
    of_slot_[slot] = revenue, place_[slot] = static_cast<int64_t>(list.size());
    list.push_back({u, u * k_ + j, a == funds_ ? 0.0 : worth(a, revenue)});
  }
  double worth(int64_t fund, float revenue) const {
    return rows::value_of(static_cast<double>(revenue), scale_, offset_[static_cast<size_t>(fund)]);
  }
  double worth_of(int64_t u, int64_t j) const {
    const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
    return fund < 0 ? 0.0 : worth(fund, of_slot_[static_cast<size_t>(u * k_ + j)]);
  }

  void let_go(int64_t u, int64_t j, int64_t a) {
    auto& list = holders_[static_cast<size_t>(a)];
    const auto slot = static_cast<size_t>(u * k_ + j);
    list[static_cast<size_t>(place_[slot])] = list.back();
    place_[static_cast<size_t>(list.back().slot)] = place_[slot];
    list.pop_back();
  }

  // -- arcs: the cheapest swap, equal ones of the first customer
  // ------------------------------------------------------- A swap, and the order in which they are taken.
  struct Swap {
    double cost;
    int64_t customer;
    bool operator<(const Swap& other) const {
      return cost < other.cost || (cost == other.cost && customer < other.customer);
    }
  };
  // The next swaps of an arc, the cheapest last; any others come after `beyond`.  Some may have gone meanwhile.
  struct Spare {
    std::vector<Swap> next;
    Swap beyond{-NEVER, -1};
  };

  size_t spares(int64_t a) const { return SPARES + holders_[static_cast<size_t>(a)].size() / ONE_IN; }

  void offer(int64_t a, int64_t b, double cost, int64_t u) {
    const size_t arc = at(a, b);
    Swap swap{cost, u};
    if (swap < Swap{cost_[arc], who_[arc]} || who_[arc] < 0) {
      std::swap(cost_[arc], swap.cost), std::swap(who_[arc], swap.customer);
      if (swap.customer < 0) return;
    }
    Spare& spare = spare_[arc];
    if (!(swap < spare.beyond)) return;
    spare.next.insert(std::upper_bound(spare.next.begin(), spare.next.end(), swap,
                                       [](const Swap& x, const Swap& y) { return y < x; }),
                      swap);
    if (spare.next.size() > 2 * spares(a)) {
      spare.beyond = spare.next.front();
      spare.next.erase(spare.next.begin());
    }
  }

  // What customer u, who holds a, could have in place of it.
  void offer_all(int64_t u, int64_t a, double worth) {
    for (int64_t b = 0; b < funds_; ++b) {
      const double cost = worth - value(u, b);
      if (cost < NEVER) offer(a, b, cost, u);
    }
    if (a != funds_) offer(a, funds_, worth, u);
  }

  // The same where customers come one after the other, before any swap was made.
  void offer_first(int64_t u, int64_t a, double worth) {
    double* const cost = cost_.data() + a * size_;
    int64_t* const who = who_.data() + a * size_;
    for (int64_t b = 0; b < funds_; ++b) {
      const double own = worth - value(u, b);
      who[b] = own < cost[b] ? u : who[b];
      cost[b] = own < cost[b] ? own : cost[b];
    }
    if (a != funds_ && worth < cost[funds_]) cost[funds_] = worth, who[funds_] = u;
  }

  bool holds(int64_t u, int64_t a) const {
    for (int64_t j = 0; j < k_; ++j) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + j)];
      if (fund != rows::CLOSED && node(fund) == a) return true;
    }
    return false;
  }

  // The cheapest swap of an arc has gone: the next one.
  void look_again(int64_t a, int64_t b) {
    const size_t arc = at(a, b);
    Spare& spare = spare_[arc];
    cost_[arc] = NEVER, who_[arc] = -1;
    for (;;) {
      while (!spare.next.empty()) {
        const Swap swap = spare.next.back();
        spare.next.pop_back();
        if (!holds(swap.customer, a) || (b != funds_ && revenue_[swap.customer * funds_ + b] == GONE)) continue;
        cost_[arc] = swap.cost, who_[arc] = swap.customer;
        return;
      }
      if (spare.beyond.cost == NEVER) return;
      fill(a, b, spare);
    }
  }

  // The cheapest swaps that the holders of a offer.
  void fill(int64_t a, int64_t b, Spare& spare) {
    std::vector<Swap>& heap = spare.next;  // the dearest on top
    spare.beyond = Swap{NEVER, -1};
    const size_t most = spares(a);
    for (const Holder& h : holders_[static_cast<size_t>(a)]) {
      const Swap swap{b == funds_ ? h.worth : h.worth - value(h.customer, b), h.customer};
      if (swap.cost == NEVER) continue;
      if (heap.size() < most) {
        heap.push_back(swap), std::push_heap(heap.begin(), heap.end());
        continue;
      }
      if (!(swap < heap.front())) {
        spare.beyond = std::min(spare.beyond, swap);
        continue;
      }
      spare.beyond = std::min(spare.beyond, heap.front());
      std::pop_heap(heap.begin(), heap.end()), heap.back() = swap, std::push_heap(heap.begin(), heap.end());
    }
    std::sort(heap.begin(), heap.end(), [](const Swap& x, const Swap& y) { return y < x; });
    work_ -= static_cast<int64_t>(holders_[static_cast<size_t>(a)].size());
  }

  // Give customer u fund b in place of a.
  void move(int64_t u, int64_t a, int64_t b) {
    if (u < 0) throw std::logic_error("a swap has gone that a path was made of");
    int64_t j = 0;
    while (held_[static_cast<size_t>(u * k_ + j)] == rows::CLOSED || node(held_[static_cast<size_t>(u * k_ + j)]) != a)
      ++j;
    const double before = worth_of(u, j), after = b == funds_ ? 0.0 : value(u, b);
    const float gone = of_slot_[static_cast<size_t>(u * k_ + j)], came = b == funds_ ? 0.0f : revenue_[u * funds_ + b];
    let_go(u, j, a);
    held_[static_cast<size_t>(u * k_ + j)] = b == funds_ ? static_cast<int16_t>(rows::EMPTY) : static_cast<int16_t>(b);
    if (a != funds_) revenue_[u * funds_ + a] = gone;
    if (b != funds_) revenue_[u * funds_ + b] = GONE;
    hold(u, j, b, came);
    for (int64_t c = 0; c < size_; ++c)
      if (c != a && who_[at(a, c)] == u) look_again(a, c);
    for (int64_t i = 0; i < k_; ++i) {
      const int16_t fund = held_[static_cast<size_t>(u * k_ + i)];
      if (i == j || fund == rows::CLOSED) continue;
      const int64_t other = node(fund);
      if (b != funds_ && who_[at(other, b)] == u) look_again(other, b);
      if (a != funds_) offer(other, a, worth_of(u, i) - before, u);
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
  int64_t cost(int64_t a, int64_t b) const { return std::min({swap_cost(a, b), bound_, slack_cost(a, b)}); }
  int64_t swap_cost(int64_t a, int64_t b) const {
    const double cost = cost_[at(a, b)];
    return cost < NEVER ? static_cast<int64_t>(cost) : INF_COST;
  }
  bool by_slack(int64_t a, int64_t b) const { return slack_cost(a, b) <= std::min(swap_cost(a, b), bound_); }
  // Whether an arc's cost is that of a swap or of leaving quota unused, and not what those outside may offer.
  bool is_real(int64_t a, int64_t b) const {
    return (who_[at(a, b)] >= 0 && swap_cost(a, b) == cost(a, b)) ||
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
  const double scale_;
  const std::vector<double> offset_;
  std::vector<int64_t> imbalance_, price_, unused_, free_;
  std::vector<int16_t> held_;
  float* const revenue_;        // (rows, funds), the caller's; GONE for what a customer may not see, or holds
  std::vector<float> of_slot_;  // (rows, k): revenue of what is in the slot
  std::vector<int64_t> place_;  // (rows, k), among the holders of what is in the slot
  std::vector<std::vector<Holder>> holders_;
  std::vector<double> cost_;  // (size, size)
  std::vector<int64_t> who_;  // (size, size)
  std::vector<Spare> spare_;  // (size, size)
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
