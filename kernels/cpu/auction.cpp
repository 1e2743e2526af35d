// Bids of an auction, one after the other: see ptofa_gpu/allocation/auction.py.
#include <algorithm>
#include <cstring>
#include <vector>

#include "customers.hpp"

// places: the funds, and an empty slot where slots stay empty.  A bidder is a customer, or -1, a stranger.  Fund f
// keeps its bids and their bidders from start[f] to start[f + 1], the lowest on top of a heap of filled[f].  What is
// written is what the next call goes on from: waiting[left], the last to bid first; tally: how many wait, bids that the
// phase may still take, whether everybody who has bid found a place.
// clang-format off
#define AUCTION(X)                                                                                         \
  X(in_f32, revenue) X(in_i8, tolerance) X(in_i8, risk) X(in_u64, mask) X(i64, words) X(i64, funds)        \
  X(f64, scale) X(i64, k) X(i64, places) X(in_i64, start) X(i64, eps) X(i64, captive) X(i64, highest)      \
  X(i64, bids) X(out_i64, price) X(out_i64, bid) X(out_i64, bidder) X(out_i64, filled) X(out_i16, held)    \
  X(out_i64, waiting) X(out_i64, tally)
// clang-format on
PTOFA_ENTRY(auction, AUCTION)

namespace ptofa {
namespace {

typedef unsigned long long Words __attribute__((vector_size(8 * LANES)));

struct BestTwo {
  long long key[2] = {NO_FUND, NO_FUND};
  void offer(long long another) { rows::offer(key, another); }
};

// What a bidder likes best at the prices there are.  Lanes are funds of one customer here.
class Prices {
 public:
  explicit Prices(const auction& a) : keys(static_cast<int>(a.places), a.scale), a_(a) {
    const auto whole_registers = static_cast<size_t>((a.places + LANES - 1) / LANES * LANES);
    constant_.resize(whole_registers);
    risk_.resize(whole_registers, HIDDEN);
    for (int64_t f = 0; f < a.places; ++f) set(static_cast<int>(f), a.price[f]);
    std::copy(a.risk, a.risk + a.funds, risk_.begin());
    for (int lane = 0; lane < LANES; ++lane) lane_[lane] = static_cast<unsigned long long>(lane);
  }

  void set(int f, int64_t price) {
    a_.price[f] = price;
    constant_[static_cast<size_t>(f)] = keys.constant(f, -static_cast<double>(price));
  }

  // Of a customer, without the funds held; being empty, if it is to be had, is a fund of revenue 0.
  BestTwo of_customer(int64_t u) {
    const int16_t* held = a_.held + u * a_.k;
    for (int64_t j = 0; j < a_.k; ++j)
      if (0 <= held[j] && held[j] < a_.funds) risk_[static_cast<size_t>(held[j])] = HIDDEN;
    BestTwo best = of_row(u);
    for (int64_t j = 0; j < a_.k; ++j)
      if (0 <= held[j] && held[j] < a_.funds) risk_[static_cast<size_t>(held[j])] = a_.risk[held[j]];
    if (a_.places > a_.funds) best.offer(key_of_nothing(a_.funds));
    return best;
  }

  // Of a stranger: the cheapest funds that have places.
  BestTwo of_stranger() const {
    BestTwo best;
    for (int64_t f = 0; f < a_.places; ++f)
      if (a_.start[f] < a_.start[f + 1]) best.offer(key_of_nothing(f));
    return best;
  }

  const rows::Keys keys;

 private:
  static constexpr long long HIDDEN = INT8_MAX + 1;  // above any tolerance

  static Wholes load(const std::vector<long long>& from, int64_t f) {
    Wholes out;
    std::memcpy(&out, from.data() + f, sizeof out);
    return out;
  }

  // Of a place at its price, where revenue is 0.
  long long key_of_nothing(int64_t f) const { return keys.key(static_cast<int>(f), -a_.price[f]); }

  BestTwo of_row(int64_t u) const {
    const float* row = a_.revenue + u * a_.funds;
    const uint64_t* words = a_.mask != nullptr ? a_.mask + u * a_.words : nullptr;
    const Wholes level = Wholes{} + a_.tolerance[u];
    Wholes best[2] = {Wholes{} + NO_FUND, Wholes{} + NO_FUND};
    for (int64_t f = 0; f < a_.funds; f += LANES) {
      Singles revenue = {};
      if (f + LANES <= a_.funds)
        std::memcpy(&revenue, row + f, sizeof revenue);
      else
        std::memcpy(&revenue, row + f, static_cast<size_t>(a_.funds - f) * sizeof(float));
      const Wholes key = rows::key_of<Wholes, Reals>(__builtin_convertvector(revenue, Reals), keys, load(constant_, f));
      Wholes sees = level >= load(risk_, f);
      if (words != nullptr) sees &= -(Wholes)(((Words{} + words[f >> 6]) >> (lane_ + (f & 63))) & 1);
      rows::offer(best, sees ? key : Wholes{} + NO_FUND);
    }
    BestTwo out;
    for (const Wholes& of_lanes : best)
      for (int lane = 0; lane < LANES; ++lane) out.offer(of_lanes[lane]);
    return out;
  }

  const auction& a_;
  std::vector<long long> constant_, risk_;  // of each place, filled up to whole registers
  Words lane_;                              // 0, 1, 2, ...
};

// The bids that a fund keeps, the lowest on top of a heap.
struct Kept {
  int64_t* bid;
  int64_t* bidder;

  void push(int64_t n, int64_t amount, int64_t who) {
    int64_t i = n;
    for (; i > 0 && bid[(i - 1) / 2] > amount; i = (i - 1) / 2) move((i - 1) / 2, i);
    bid[i] = amount, bidder[i] = who;
  }

  // In place of the lowest of n.
  void replace(int64_t n, int64_t amount, int64_t who) {
    int64_t i = 0;
    for (;;) {
      int64_t child = 2 * i + 1;
      if (child >= n) break;
      if (child + 1 < n && bid[child + 1] < bid[child]) ++child;
      if (bid[child] >= amount) break;
      move(child, i);
      i = child;
    }
    bid[i] = amount, bidder[i] = who;
  }

 private:
  void move(int64_t from, int64_t to) { bid[to] = bid[from], bidder[to] = bidder[from]; }
};

// The first slot of a bidder that holds `before` holds `after` from now on; strangers have no slots.
void change(const auction& a, int64_t who, int before, int after) {
  if (who < 0) return;
  int16_t* held = a.held + who * a.k;
  int16_t* const at = std::find(held, held + a.k, static_cast<int16_t>(before));
  if (at != held + a.k) *at = static_cast<int16_t>(after);
}

}  // namespace

// Up to `bids` bids.
static void run(const auction& a) {
  int64_t& left = a.tally[0];
  int64_t& bids_left = a.tally[1];
  int64_t& everybody = a.tally[2];
  Prices prices(a);
  const rows::Keys& keys = prices.keys;
  for (int64_t n = 0; n < a.bids && left > 0 && bids_left > 0; ++n) {
    --left, --bids_left;
    const int64_t who = a.waiting[left];
    const auto [best, second] = (who < 0 ? prices.of_stranger() : prices.of_customer(who)).key;
    if (best == NO_FUND) {
      everybody = 0;
      continue;
    }
    const int f = keys.fund(best);
    const int64_t lead = second != NO_FUND ? keys.value(best) - keys.value(second) : a.captive;
    const int64_t amount = a.price[f] + a.eps + lead;
    if (amount > a.highest) {  // no plan has such prices: more want the place than there are
      everybody = 0;
      continue;
    }
    const int64_t quota = a.start[f + 1] - a.start[f];
    if (quota == 0) {
      prices.set(f, amount);
      a.waiting[left++] = who;
      continue;
    }
    Kept kept{a.bid + a.start[f], a.bidder + a.start[f]};
    change(a, who, rows::EMPTY, f);
    if (a.filled[f] < quota) {
      kept.push(a.filled[f]++, amount, who);
    } else {
      const int64_t out = kept.bidder[0];
      change(a, out, f, rows::EMPTY);
      kept.replace(quota, amount, who);
      a.waiting[left++] = out;
    }
    if (a.filled[f] == quota) prices.set(f, std::max(a.price[f], kept.bid[0]));
  }
}

}  // namespace ptofa
