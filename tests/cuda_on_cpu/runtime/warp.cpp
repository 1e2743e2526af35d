// Warp collectives (shuffles, votes, matches, reductions): the lanes a mask names wait for each other, then the last to
// come works out every lane's answer.
#include <algorithm>
#include <cstring>

#include "block.hpp"

namespace cuda_on_cpu {

static Fiber& lane_of(unsigned warp, unsigned lane) { return block.fibers[warp * 32 + lane]; }

static unsigned lanes_in(unsigned warp) { return std::min(32u, block.size - warp * 32); }

void answer_if_complete(unsigned warp, unsigned mask) {
  const unsigned count = lanes_in(warp);
  Gathering group{};
  Fiber* first = nullptr;
  for (unsigned lane = 0; lane < count; ++lane) {
    if (!(mask >> lane & 1)) continue;
    Fiber& fiber = lane_of(warp, lane);
    if (fiber.state == State::returned) continue;
    if (fiber.state != State::at_collective) return;
    if (!first) first = &fiber;
    if (fiber.mask != mask)
      fail("the lanes of a warp named different masks: 0x%08x and 0x%08x; %s", mask, fiber.mask,
           who_waits_where().c_str());
    if (std::strcmp(fiber.waits_at, first->waits_at))
      fail("the lanes of a warp met in different collectives: %s", who_waits_where().c_str());
    group.present |= 1u << lane;
    group.value[lane] = fiber.value;
    group.source[lane] = fiber.source;
  }
  if (!first) return;
  for (unsigned lane = 0; lane < count; ++lane) {
    if (!(group.present >> lane & 1)) continue;
    Fiber& fiber = lane_of(warp, lane);
    const unsigned source = fiber.source;
    if (!(group.present >> source & 1))
      fail("%s (%s:%u): lane %u of warp %u reads lane %u, which is not in the mask 0x%08x, has returned or does not exist",
           fiber.waits_at, fiber.place.file_name(), unsigned(fiber.place.line()), lane, warp, source, mask);
    fiber.result = fiber.answer(group, lane);
  }
  unsigned turn[32], n = 0;
  for (unsigned lane = 0; lane < count; ++lane)
    if (group.present >> lane & 1) turn[n++] = lane;
  if (block.how.order == reverse) std::reverse(turn, turn + n);
  if (block.how.order == shuffled) std::shuffle(turn, turn + n, block.random);
  for (unsigned i = 0; i < n; ++i) {
    Fiber& fiber = lane_of(warp, turn[i]);
    // Votes and shuffles wait for the lanes they name, but only __syncwarp promises to order their memory.
    if (!std::strcmp(fiber.waits_at, "__syncwarp")) ++fiber.syncs;
    wake(&fiber);
  }
}

uint64_t collective(const char* what, unsigned mask, uint64_t value, unsigned source, Answer answer, const Place& at) {
  Fiber* fiber = self();
  if (!(mask >> fiber->lane() & 1))
    fail("%s (%s:%u): the calling lane %u is not in its mask 0x%08x", what, at.file_name(), unsigned(at.line()),
         fiber->lane(), mask);
  const unsigned warp = fiber->linear / 32, count = lanes_in(warp);
  if (count < 32) mask &= (1u << count) - 1;  // the last warp may be a partial one: lanes that do not exist do not count
  fiber->waits_at = what;
  fiber->place = at;
  fiber->mask = mask;
  fiber->value = value;
  fiber->source = source;
  fiber->answer = answer;
  fiber->state = State::at_collective;
  answer_if_complete(warp, mask);
  suspend();
  return self()->result;
}

// Which lanes of a warp run together is the hardware's choice, and a kernel must be right for every choice: forward gives
// as many as possible (all that come to the same call before the block stalls), reverse each lane alone, shuffled a part.
unsigned converged_lanes(const void* call_site) {
  Fiber* fiber = self();
  if (block.how.order == reverse) return 1u << fiber->lane();
  fiber->call_site = call_site;
  fiber->state = State::at_activemask;
  suspend();
  return unsigned(self()->result);
}

bool release_activemask() {
  bool any = false;
  for (unsigned warp = 0; warp * 32 < block.size; ++warp) {
    const unsigned count = lanes_in(warp);
    for (unsigned lane = 0; lane < count; ++lane) {
      Fiber& leader = lane_of(warp, lane);
      if (leader.state != State::at_activemask) continue;
      unsigned mask = 0;
      for (unsigned i = lane; i < count; ++i) {
        const Fiber& other = lane_of(warp, i);
        const bool joins = i == lane || block.how.order != shuffled || block.random() % 2;
        if (other.state == State::at_activemask && other.call_site == leader.call_site && joins) mask |= 1u << i;
      }
      for (unsigned i = 0; i < count; ++i)
        if (mask >> i & 1) {
          lane_of(warp, i).result = mask;
          wake(&lane_of(warp, i));
        }
      any = true;
    }
  }
  return any;
}

}  // namespace cuda_on_cpu
