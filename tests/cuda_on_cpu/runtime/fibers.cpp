// One fiber a CUDA thread: stacks with guard pages, the switch between them, and the barrier of a block.
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "block.hpp"

namespace cuda_on_cpu {

Block block;
Thread* current = nullptr;
uint3 block_index;
dim3 block_size, grid_size;

// Below each stack lies a page that may not be touched, so that an overflow is a fault and not a neighbour's data.
void prepare_stacks(unsigned threads) {
  static char* all = nullptr;
  static unsigned prepared = 0;
  constexpr size_t stride = kStack + kPage;
  if (!all) {
    void* p = mmap(nullptr, stride * kMaxThreads, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) std::abort();
    all = static_cast<char*>(p);
  }
  for (; prepared < threads; ++prepared) {
    char* stack = all + prepared * stride + kPage;
    if (mprotect(stack, kStack, PROT_READ | PROT_WRITE)) std::abort();
    block.fibers[prepared].stack = stack;
  }
}

static void fiber_main() {
  for (;;) {
    block.kernel->invoke(*block.kernel, block.arguments);
    thread_returned(self());
    suspend();  // until a later block needs a thread of this index
  }
}

// Continues with the next thread that can run; does not come back.
[[noreturn]] static void run_next() {
  if (!block.ready_count && !release_activemask()) {
    current = nullptr;
    if (block.live) fail("deadlock: %s", who_waits_where().c_str());
    _longjmp(block.launcher, 1);
  }
  Fiber* fiber = block.ready[block.ready_first];
  block.ready_first = (block.ready_first + 1) % kMaxThreads;
  --block.ready_count;
  current = fiber;
  if (fiber->started) _longjmp(fiber->registers, 1);
  fiber->started = true;
  // ucontext makes the stack, setjmp and longjmp switch afterwards: they save no signal mask and are far quicker. The
  // stacks start at staggered addresses, else all threads' frames would compete for the same lines of the cache.
  static ucontext_t context;
  getcontext(&context);
  context.uc_link = nullptr;
  context.uc_stack = {};
  context.uc_stack.ss_sp = fiber->stack;
  context.uc_stack.ss_size = kStack - (fiber->linear * 832) % kPage / 64 * 64;
  makecontext(&context, fiber_main, 0);
  setcontext(&context);
  std::abort();
}

void suspend() {
  if (_setjmp(self()->registers) == 0) run_next();
}

void yield() {
  wake(self());
  suspend();
}

void run_block() {
  block.live = block.size;
  block.waiting_at_barrier = 0;
  block.ready_count = 0;
  if (block.how.order == shuffled) std::shuffle(block.order.begin(), block.order.end(), block.random);
  for (Fiber* fiber : block.order) {
    fiber->barriers = fiber->syncs = 0;
    wake(fiber);
  }
  block.running = true;
  if (_setjmp(block.launcher) == 0) run_next();
  block.running = false;
  current = nullptr;
  // After a fault some threads are suspended in the middle of the kernel: all start afresh.
  if (!block.error.empty())
    for (Fiber& fiber : block.fibers) fiber.started = false;
}

static bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() && !std::strcmp(a.file_name(), b.file_name());
}

void release_if_all_at_barrier() {
  if (!block.live || block.waiting_at_barrier != block.live) return;
  int count = 0, all = 1;
  const Fiber* first = nullptr;
  for (Fiber* fiber : block.order) {
    if (fiber->state != State::at_barrier) continue;
    if (!first) first = fiber;
    if (!same(first->place, fiber->place))
      fail("the threads of a block met at different barriers: %s", who_waits_where().c_str());
    count += fiber->predicate != 0;
    all &= fiber->predicate != 0;
  }
  block.waiting_at_barrier = 0;
  if (block.how.order == shuffled) std::shuffle(block.order.begin(), block.order.end(), block.random);
  for (Fiber* fiber : block.order) {
    if (fiber->state != State::at_barrier) continue;
    fiber->barrier_result = count | all << 16;
    ++fiber->barriers;
    wake(fiber);
  }
}

int barrier(const char* what, int predicate, const Place& at) {
  Fiber* fiber = self();
  fiber->waits_at = what;
  fiber->place = at;
  fiber->predicate = predicate;
  fiber->state = State::at_barrier;
  ++block.waiting_at_barrier;
  release_if_all_at_barrier();
  suspend();
  return self()->barrier_result;
}

// A thread that has returned is no longer waited for, as on the GPU: those who wait may be complete without it.
void thread_returned(Fiber* fiber) {
  fiber->state = State::returned;
  --block.live;
  release_if_all_at_barrier();
  const unsigned base = fiber->linear & ~31u, top = std::min(base + 32, block.size);
  for (unsigned i = base; i < top; ++i)
    if (block.fibers[i].state == State::at_collective) answer_if_complete(base / 32, block.fibers[i].mask);
}

// "threads 0-6 wait at __syncthreads (score.cu:12); threads 7-63 wait at __shfl_sync (score.cu:14)"
std::string who_waits_where() {
  std::map<std::string, std::vector<unsigned>> groups;
  for (unsigned i = 0; i < block.size; ++i) {
    const Fiber& fiber = block.fibers[i];
    if (fiber.state != State::at_barrier && fiber.state != State::at_collective) continue;
    std::string where = std::string(fiber.waits_at) + " (" + fiber.place.file_name() + ":" +
                        std::to_string(fiber.place.line()) + ")";
    groups[where].push_back(i);
  }
  std::string text;
  for (const auto& [where, threads] : groups) {
    if (!text.empty()) text += "; ";
    text += "threads ";
    for (size_t i = 0, ranges = 0; i < threads.size(); ++ranges) {
      size_t last = i;
      while (last + 1 < threads.size() && threads[last + 1] == threads[last] + 1) ++last;
      if (ranges == 8) {
        text += ",...";
        break;
      }
      if (ranges) text += ",";
      text += std::to_string(threads[i]);
      if (last > i) text += "-" + std::to_string(threads[last]);
      i = last + 1;
    }
    text += " wait at " + where;
  }
  return text;
}

}  // namespace cuda_on_cpu
