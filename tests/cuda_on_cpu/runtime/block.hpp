// The state of the one block that runs, shared by the runtime's source files.
#pragma once
#include <csetjmp>
#include <random>
#include <string>
#include <vector>

#include "../include/runtime.hpp"

namespace cuda_on_cpu {

inline constexpr unsigned kMaxThreads = 1024;
inline constexpr size_t kPage = 4096;

enum class State : uint8_t { ready, at_barrier, at_collective, at_activemask, returned };

struct Fiber : Thread {
  jmp_buf registers;
  bool started = false;
  State state = State::ready;
  const char* waits_at = "";  // the primitive's name, for messages
  Place place;
  int predicate = 0, barrier_result = 0;
  unsigned mask = 0, source = 0;
  uint64_t value = 0, result = 0;
  Answer answer = nullptr;
  const void* call_site = nullptr;
  char* stack = nullptr;      // lowest usable byte; a guard page lies below it
  unsigned barriers = 0;      // how many this thread has passed: what the race check calls its epoch
  unsigned syncs = 0;         // the same for __syncwarp
};

enum Order { forward, reverse, shuffled };

struct Block {
  const Kernel* kernel = nullptr;
  void** arguments = nullptr;
  Launch how{};
  unsigned size = 0, live = 0, waiting_at_barrier = 0;
  std::vector<Fiber> fibers = std::vector<Fiber>(kMaxThreads);
  std::vector<Fiber*> order;          // in which the threads of the block start and leave barriers
  Fiber* ready[kMaxThreads];          // a ring: no thread is in it twice
  unsigned ready_first = 0, ready_count = 0;
  std::mt19937 random;
  jmp_buf launcher;
  std::string error;
  bool running = false;
  uint64_t number = 0;                // of this block within the launch
};
extern Block block;

inline Fiber* self() { return static_cast<Fiber*>(current); }
inline void wake(Fiber* fiber) {
  fiber->state = State::ready;
  block.ready[(block.ready_first + block.ready_count++) % kMaxThreads] = fiber;
}

// fibers.cpp
constexpr size_t kStack = 64 << 10;  // usable bytes a thread
void prepare_stacks(unsigned threads);
void run_block();
void release_if_all_at_barrier();
void thread_returned(Fiber* fiber);
void suspend();
std::string who_waits_where();

// warp.cpp
void answer_if_complete(unsigned warp, unsigned mask);
bool release_activemask();

// shared.cpp
void find_static_shared(const void* inside_module);
void poison_shared();
void reserve_dynamic_shared(size_t bytes);
Region static_shared_region();
Region dynamic_shared_region();

// faults.cpp
class FaultHandlers {
 public:
  explicit FaultHandlers(double seconds);
  ~FaultHandlers();
};

// races.cpp
void races_begin_launch();

}  // namespace cuda_on_cpu
