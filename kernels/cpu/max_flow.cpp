// A maximum flow from groups to funds: see ptofa_gpu/ops/max_flow.py.
//
// Dinic's algorithm (Soviet Mathematics Doklady 11, 1970): nodes in layers by their distance from groups with supply,
// then paths along the layers until there is none; all again until no layer has a fund with room.  Groups may be many
// and funds are few: a group's row of bits says to which funds it can send more, another from which it can take back.
#include <algorithm>
#include <cstdint>

#include "boundary.hpp"

// arcs: (groups, funds), 0 where there is none, 1 for a capacity of most[group], 2 for none at all.  supply, room: what
// groups have and funds take beyond what is sent.  open, back: (groups, words) bits.  layer, at, queue: for each group
// and then each fund; path: 2 funds + 1.  state: zeros at first, see below; called until it says DONE, each time for
// about `budget` looks at an arc or a node.
// clang-format off
#define MAX_FLOW(X)                                                                              \
  X(in_u8, arcs) X(in_i64, most) X(i64, groups) X(i64, funds) X(i64, words) X(i64, budget)       \
  X(out_i64, supply) X(out_i64, room) X(out_i64, sent) X(out_u64, open) X(out_u64, back)         \
  X(out_i32, layer) X(out_i64, at) X(out_i64, queue) X(out_i64, path) X(out_i64, state)
// clang-format on
PTOFA_ENTRY(max_flow, MAX_FLOW)

namespace ptofa {
namespace {

enum Stage : int64_t { FILL, CLEAR, SEARCH, AUGMENT, FINISHED };
enum State { STAGE, NEXT, HEAD, TAIL, LAST, LENGTH };  // LAST: the first layer that has a fund with room
constexpr int32_t UNSEEN = -1;
constexpr int64_t AT_ONCE = 1 << 12;  // groups looked through before the budget is

class Dinic {
 public:
  explicit Dinic(const max_flow& a)
      : a_(a),
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
      if (stage == SEARCH && search()) begin(stage, last_ == UNSEEN ? FINISHED : AUGMENT);
      if (stage == AUGMENT && augment()) begin(stage, CLEAR);
    }
  }

 private:
  // Each of these goes on where it was, and is true when it is through.
  void begin(int64_t& stage, Stage following) {
    stage = following;
    next_ = 0;
    if (following == CLEAR) head_ = tail_ = length_ = 0, last_ = UNSEEN;
    if (following == AUGMENT) std::fill_n(a_.at + a_.groups, a_.funds, 0);
  }

  // The bits of what is sent at the start.
  bool fill() {
    for (; next_ < a_.groups; ++next_) {
      if (!spend(a_.funds)) return false;
      for (int64_t f = 0; f < a_.funds; ++f) mark(next_, f);
    }
    return true;
  }

  // The first layer: groups that have supply.
  bool clear() {
    for (; next_ < a_.groups; ++next_) {
      if (!spend(1)) return false;
      a_.at[next_] = 0;
      a_.layer[next_] = a_.supply[next_] > 0 ? 0 : UNSEEN;
      if (a_.supply[next_] > 0) a_.queue[tail_++] = next_;
    }
    std::fill_n(a_.at + a_.groups, a_.funds, 0);
    std::fill_n(a_.layer + a_.groups, a_.funds, UNSEEN);
    return true;
  }

  // The others, one after the other; none beyond the first that has a fund with room.
  bool search() {
    for (; head_ < tail_; ++head_) {
      const int64_t v = a_.queue[head_];
      const int32_t following = a_.layer[v] + 1;
      if (last_ != UNSEEN && following > last_) break;
      if (v < a_.groups) {
        if (!spend(a_.words)) return false;
        for (int64_t f = 0; (f = next_bit(a_.open, v, f)) < a_.funds; ++f) {
          if (a_.layer[a_.groups + f] != UNSEEN) continue;
          enter(a_.groups + f, following);
          if (a_.room[f] > 0) last_ = following;
        }
      } else {
        for (int64_t& g = a_.at[v]; (g = next_sender(v, g, UNSEEN)) < a_.groups; ++g) {
          if (left_ <= 0) return false;
          enter(g, following);
        }
      }
    }
    return true;
  }

  void enter(int64_t node, int32_t layer) {
    a_.layer[node] = layer;
    a_.queue[tail_++] = node;
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
      const int64_t w = v < a_.groups ? next_fund(v) : next_sender(v, a_.at[v], a_.layer[v] + 1);
      if (v >= a_.groups) a_.at[v] = w;
      if (v >= a_.groups && left_ <= 0) return false;
      if (w < (v < a_.groups ? a_.groups + a_.funds : a_.groups))
        a_.path[length_++] = w;
      else
        leave(v);
    }
  }

  void leave(int64_t node) {
    a_.layer[node] = UNSEEN;
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
    const int64_t sent = a_.sent[g * a_.funds + f], kind = a_.arcs[g * a_.funds + f];
    const uint64_t bit = uint64_t{1} << (f & 63);
    uint64_t& open = a_.open[g * a_.words + (f >> 6)];
    uint64_t& back = a_.back[g * a_.words + (f >> 6)];
    open = kind == 2 || (kind == 1 && sent < a_.most[g]) ? open | bit : open & ~bit;
    back = sent > 0 ? back | bit : back & ~bit;
  }

  // The first fund from f on whose bit is set in a row; `funds` or more: none.
  int64_t next_bit(const uint64_t* bits, int64_t row, int64_t f) const {
    for (; f < a_.funds; f = (f | 63) + 1) {
      const uint64_t rest = bits[row * a_.words + (f >> 6)] >> (f & 63);
      if (rest != 0) return f + __builtin_ctzll(rest);
    }
    return f;
  }

  // The node of a fund of the next layer that group g can send to; behind the last node: none.
  int64_t next_fund(int64_t g) {
    for (int64_t& f = a_.at[g]; (f = next_bit(a_.open, g, f)) < a_.funds; ++f) {
      if (a_.layer[a_.groups + f] == a_.layer[g] + 1) return a_.groups + f;
    }
    return a_.groups + a_.funds;
  }

  // The first group from g on that sends to a fund, in the layer asked for; or one that ends the budget.
  int64_t next_sender(int64_t fund, int64_t g, int32_t layer) {
    const int64_t f = fund - a_.groups;
    const uint64_t* back = a_.back + (f >> 6);
    while (g < a_.groups && left_ > 0) {
      const int64_t first = g, end = std::min(a_.groups, g + AT_ONCE);
      while (g < end && !(a_.layer[g] == layer && (back[g * a_.words] >> (f & 63) & 1))) ++g;
      spend(g - first + 1);
      if (g < end) break;
    }
    return g;
  }

  bool spend(int64_t looks) {
    if (left_ <= 0) return false;
    left_ -= looks;
    return true;
  }

  const max_flow& a_;
  int64_t left_;
  int64_t &next_, &head_, &tail_, &last_, &length_;
};

}  // namespace

static void run(const max_flow& a) { Dinic(a).run(); }

}  // namespace ptofa
