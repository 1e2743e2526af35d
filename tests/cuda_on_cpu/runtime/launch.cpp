// A launch: the limits a GPU sets, then block after block.
#include <algorithm>
#include <mutex>
#include <numeric>

#include "block.hpp"

namespace cuda_on_cpu {

static std::string refusal(const Kernel& kernel, const Launch& how) {
  const uint64_t threads = uint64_t(how.block[0]) * how.block[1] * how.block[2];
  if (!threads || threads > kMaxThreads || how.block[2] > 64)
    return "a block has 1 to 1024 threads, at most 64 of them along z";
  if (kernel.max_threads && threads > kernel.max_threads)
    return "a block of " + std::to_string(threads) + " threads exceeds the kernel's __launch_bounds__ of " +
           std::to_string(kernel.max_threads);
  if (!how.grid[0] || !how.grid[1] || !how.grid[2] || how.grid[0] > 0x7fffffffu || how.grid[1] > 65535 ||
      how.grid[2] > 65535)
    return "a grid has 1 to 2^31-1 blocks along x and 1 to 65535 along y and z";
  return {};
}

static void run_blocks(const Launch& how) {
  const uint64_t count = uint64_t(how.grid[0]) * how.grid[1] * how.grid[2];
  std::vector<uint64_t> turn;
  if (how.order == shuffled) {
    turn.resize(count);
    std::iota(turn.begin(), turn.end(), uint64_t(0));
    std::shuffle(turn.begin(), turn.end(), block.random);
  }
  for (uint64_t i = 0; i < count && block.error.empty(); ++i) {
    const uint64_t b = how.order == shuffled ? turn[i] : how.order == reverse ? count - 1 - i : i;
    block_index = {unsigned(b % how.grid[0]), unsigned(b / how.grid[0] % how.grid[1]),
                   unsigned(b / how.grid[0] / how.grid[1])};
    block.number = b;
    poison_shared();
    run_block();
  }
}

const char* launch(const Kernel& kernel, const Launch& how, void** arguments) {
  static std::mutex one_at_a_time;
  static std::string message;
  const std::lock_guard lock(one_at_a_time);
  block.error.clear();
  message = refusal(kernel, how);
  if (!message.empty()) return message.c_str();

  block.kernel = &kernel;
  block.arguments = arguments;
  block.how = how;
  block.size = how.block[0] * how.block[1] * how.block[2];
  block.random.seed(how.seed);
  grid_size = {how.grid[0], how.grid[1], how.grid[2]};
  block_size = {how.block[0], how.block[1], how.block[2]};
  prepare_stacks(block.size);
  block.order.resize(block.size);
  for (unsigned i = 0; i < block.size; ++i) {
    Fiber& fiber = block.fibers[i];
    fiber.linear = i;
    fiber.index = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
    fiber.state = State::returned;
    block.order[how.order == reverse ? block.size - 1 - i : i] = &fiber;
  }
  find_static_shared(&kernel);
  reserve_dynamic_shared(how.shared_bytes);
  races_begin_launch();
  {
    const FaultHandlers handlers(how.seconds);
    run_blocks(how);
  }
  message = block.error;
  return message.empty() ? nullptr : message.c_str();
}

}  // namespace cuda_on_cpu

extern "C" CUDA_ON_CPU_API const char* cuda_on_cpu_launch(const cuda_on_cpu::Kernel* kernel,
                                                          const cuda_on_cpu::Launch* how, void** arguments) {
  return cuda_on_cpu::launch(*kernel, *how, arguments);
}
