// A maximum flow from groups to funds: see ptofa_gpu/ops/max_flow.py.
//
// Dinic's algorithm (Soviet Mathematics Doklady 11, 1970): nodes in layers by their distance from groups with supply,
// then paths along the layers until there is none; all again until no layer has a fund with room.  What nodes can send
// to is kept as bits: of a group, the funds that it can send more to; of a fund, the groups that it can give back to.
#include <algorithm>
#include <cstdint>

#include "boundary.hpp"

// arcs: (groups, funds), 0 where there is none, 1 for a capacity of most[group], 2 for none at all.  supply, room: what
// groups have and funds take beyond what is sent.  open: (groups, fund_words), back: (funds, group_words), unseen: of
// all groups and then all funds, bits.  layer, at, queue: for each group and then each fund; path: 2 funds + 1.  state:
// see below.  All that is written and not a number of exposures is 0 at first; called until the state says FINISHED,
// each time for about `budget` looks at an arc or a node.
// clang-format off
#define MAX_FLOW(X)                                                                                                   \
  X(in_u8, arcs) X(in_i64, most) X(i64, groups) X(i64, funds) X(i64, group_words) X(i64, fund_words) X(i64, budget)   \
  X(out_i64, supply) X(out_i64, room) X(out_i64, sent) X(out_u64, open) X(out_u64, back) X(out_u64, unseen)           \
  X(out_i32, layer) X(out_i64, at) X(out_i64, queue) X(out_i64, path) X(out_i64, state)
// clang-format on
PTOFA_ENTRY(max_flow, MAX_FLOW)

namespace ptofa {
namespace {

enum Stage : int64_t { FILL, CLEAR, SEARCH, AUGMENT, FINISHED };
enum State { STAGE, NEXT, HEAD, TAIL, LAST, LENGTH };  // LAST: the first layer that has a fund with room
constexpr int32_t NO_LAYER = -1;

// Sets of nodes as bits.
inline void put(uint64_t* bits, int64_t i) { bits[i >> 6] |= uint64_t{1} << (i & 63); }
inline void drop(uint64_t* bits, int64_t i) { bits[i >> 6] &= ~(uint64_t{1} << (i & 63)); }

// The first of i, i + 1, ..., end - 1 that is in both sets, at least `end` where there is none.
inline int64_t next_in(const uint64_t* bits, const uint64_t* others, int64_t i, int64_t end) {
  for (; i < end; i = (i | 63) + 1) {
    const uint64_t rest = (bits[i >> 6] & others[i >> 6]) >> (i & 63);
    if (rest != 0) return i + __builtin_ctzll(rest);
  }
  return i;
}

class Dinic {
 public:
  explicit Dinic(const max_flow& a)
      : a_(a),
        unseen_funds_(a.unseen + a.group_words),
        left_(a.budget),
        next_(a.state[NEXT]),
        head_(a.state[HEAD]),
        tail_(a.state[TAIL]),
        last_(a.state[LAST]),
        length_(a.state[LENGTH]) {}

  void run() {
    int64_t& stage = a_.state[STAGE];
    while (left_ > 0 && stage != FINISHED) {
      if (stage == FILL && fill()) begin(stage, CLEAR);
      if (stage == CLEAR && clear()) begin(stage, SEARCH);
      if (stage == SEARCH && search()) begin(stage, last_ == NO_LAYER ? FINISHED : AUGMENT);
      if (stage == AUGMENT && augment()) begin(stage, CLEAR);
    }
  }

 private:
  // Where a node can send to: bits of the nodes from `first` on.
  struct Arcs {
    const uint64_t* bits;
    int64_t first, nodes;
    bool to_funds;
  };
  Arcs from(int64_t v) const {
    if (v < a_.groups) return {open(v), a_.groups, a_.funds, true};
    return {back(v - a_.groups), 0, a_.groups, false};
  }

  // Each of these goes on where it was, and is true when it is through.
  void begin(int64_t& stage, Stage following) {
    stage = following;
    next_ = 0;
    if (following == CLEAR) head_ = tail_ = length_ = 0, last_ = NO_LAYER;
  }

  // The bits of what is sent at the start.
  bool fill() {
    for (; next_ < a_.groups; ++next_) {
      if (!spend(a_.funds)) return false;
      for (int64_t f = 0; f < a_.funds; ++f)
        if (a_.arcs[next_ * a_.funds + f] != 0) mark(next_, f);
    }
    return true;
  }

  // The first layer: groups that have supply.
  bool clear() {
    for (; next_ < a_.groups; ++next_) {
      if (!spend(1)) return false;
      put(a_.unseen, next_);
      a_.layer[next_] = NO_LAYER;
      if (a_.supply[next_] > 0) enter(next_, 0, a_.unseen, 0);
    }
    for (int64_t f = 0; f < a_.funds; ++f) put(unseen_funds_, f);
    std::fill_n(a_.layer + a_.groups, a_.funds, NO_LAYER);
    return true;
  }

  // The others, one after the other; none beyond the first that has a fund with room.
  bool search() {
    for (; head_ < tail_; ++head_) {
      const int64_t v = a_.queue[head_];
      const int32_t following = a_.layer[v] + 1;
      if (last_ != NO_LAYER && following > last_) break;
      if (!spend(1)) return false;
      const Arcs arcs = from(v);
      uint64_t* const unseen = arcs.to_funds ? unseen_funds_ : a_.unseen;
      for (int64_t& i = a_.at[v]; (i = next_in(arcs.bits, unseen, i, arcs.nodes)) < arcs.nodes;) {
        if (!spend(1)) return false;
        enter(i, following, unseen, arcs.first);
        if (arcs.to_funds && a_.room[i] > 0) last_ = following;
      }
      a_.at[v] = 0;
    }
    return true;
  }

  void enter(int64_t i, int32_t layer, uint64_t* unseen, int64_t first) {
    drop(unseen, i);
    a_.layer[first + i] = layer;
    a_.at[first + i] = 0;
    a_.queue[tail_++] = first + i;
  }

  // Sends along paths whose nodes are of one layer after the other.  A node that leads nowhere leaves its layer.
  bool augment() {
    for (;;) {
      if (length_ == 0) {
        for (; next_ < a_.groups && (a_.supply[next_] == 0 || a_.layer[next_] != 0); ++next_)
          if (!spend(1)) return false;
        if (next_ == a_.groups) return true;
        a_.path[length_++] = next_;
      }
      const int64_t v = a_.path[length_ - 1];
      if (!spend(1)) return false;
      if (v >= a_.groups && a_.layer[v] == last_) {
        if (a_.room[v - a_.groups] > 0)
          send();
        else
          leave(v);
        continue;
      }
      const Arcs arcs = from(v);
      int64_t& i = a_.at[v];
      for (; (i = next_in(arcs.bits, arcs.bits, i, arcs.nodes)) < arcs.nodes; ++i) {
        if (a_.layer[arcs.first + i] == a_.layer[v] + 1) break;
        if (!spend(1)) return false;
      }
      if (i < arcs.nodes)
        a_.path[length_++] = arcs.first + i;
      else
        leave(v);
    }
  }

  void leave(int64_t node) {
    a_.layer[node] = NO_LAYER;
    --length_;
  }

  // As much as all arcs of the path take.
  void send() {
    const int64_t start = a_.path[0], end = a_.path[length_ - 1] - a_.groups;
    int64_t amount = std::min(a_.supply[start], a_.room[end]);
    for (int64_t i = 0; i + 1 < length_; ++i) amount = std::min(amount, capacity(a_.path[i], a_.path[i + 1]));
    for (int64_t i = 0; i + 1 < length_; ++i) {
      const bool forth = a_.path[i] < a_.groups;
      const int64_t g = forth ? a_.path[i] : a_.path[i + 1], f = (forth ? a_.path[i + 1] : a_.path[i]) - a_.groups;
      a_.sent[g * a_.funds + f] += forth ? amount : -amount;
      mark(g, f);
    }
    a_.supply[start] -= amount;
    a_.room[end] -= amount;
    spend(length_);
    length_ = a_.supply[start] > 0 ? 1 : 0;
  }

  int64_t capacity(int64_t from, int64_t to) const {
    if (from >= a_.groups) return a_.sent[to * a_.funds + from - a_.groups];
    const int64_t arc = from * a_.funds + to - a_.groups;
    return a_.arcs[arc] == 2 ? INT64_MAX : a_.most[from] - a_.sent[arc];
  }

  void mark(int64_t g, int64_t f) {
    const int64_t sent = a_.sent[g * a_.funds + f];
    if (a_.arcs[g * a_.funds + f] == 2 || sent < a_.most[g])
      put(open(g), f);
    else
      drop(open(g), f);
    if (sent > 0)
      put(back(f), g);
    else
      drop(back(f), g);
  }

  uint64_t* open(int64_t group) const { return a_.open + group * a_.fund_words; }
  uint64_t* back(int64_t fund) const { return a_.back + fund * a_.group_words; }

  bool spend(int64_t looks) {
    if (left_ <= 0) return false;
    left_ -= looks;
    return true;
  }

  const max_flow& a_;
  uint64_t* const unseen_funds_;
  int64_t left_;
  int64_t &next_, &head_, &tail_, &last_, &length_;
};

}  // namespace

static void run(const max_flow& a) { Dinic(a).run(); }

}  // namespace ptofa
