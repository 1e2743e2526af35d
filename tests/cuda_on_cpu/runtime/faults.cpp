// What goes wrong inside a kernel ends the launch with a message; the process that runs the tests lives on.
//
// Faults of the processor (a bad address, a stack overflow, a division by zero) arrive as signals on a stack of their
// own, and so does the timer that stops a kernel which never ends.
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <vector>

#include "block.hpp"

namespace cuda_on_cpu {

void fail(const char* format, ...) {
  char text[2048];
  va_list arguments;
  va_start(arguments, format);
  int used = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (used > int(sizeof text) - 1) used = sizeof text - 1;
  block.error.assign(text, size_t(used));
  char where[128];
  std::snprintf(where, sizeof where, " [block (%u,%u,%u)", block_index.x, block_index.y, block_index.z);
  block.error += where;
  if (current) {
    std::snprintf(where, sizeof where, ", thread (%u,%u,%u)", current->index.x, current->index.y, current->index.z);
    block.error += where;
  }
  block.error += "]";
  _longjmp(block.launcher, 1);
}

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[4], previous_timer;
stack_t previous_stack;
timer_t timer;
pthread_t launching_thread;
int timer_signal() { return SIGRTMIN + 4; }

[[noreturn]] void bad_address(uintptr_t address, bool protection) {
  const auto* fiber = self();
  const auto stack = reinterpret_cast<uintptr_t>(fiber->stack);
  if (address >= stack - kPage && address < stack)
    fail("stack overflow: a thread may use %zu bytes of local memory", kStack);
  const Region shared = dynamic_shared_region();
  if (address >= shared.end && address < shared.end + kPage)
    fail("access %zu bytes past the end of dynamic shared memory (%zu bytes)", size_t(address - shared.end),
         size_t(shared.end - shared.begin));
  for (size_t i = 0; i < block.how.region_count; ++i) {
    const Region& region = block.how.regions[i];
    if (protection && !region.writable && address >= region.begin && address < region.end)
      fail("write to argument %d, which is read-only (a const parameter), at byte %zu", region.argument,
           size_t(address - region.begin));
    // The array ends at most 15 bytes before a protected stretch of 256 pages, see memory.py.
    if (address >= region.end && address < region.end + 256 * kPage)
      fail("access %zu bytes past the end of argument %d", size_t(address - region.end), region.argument);
    if (address < region.begin && address >= region.begin - 257 * kPage)
      fail("access %zu bytes before the start of argument %d", size_t(region.begin - address), region.argument);
  }
  fail("access to 0x%zx, which belongs to no argument", size_t(address));
}

void pass_on(int signal, siginfo_t* info, void* context) {
  for (int i = 0; i < 4; ++i) {
    if (kSignals[i] != signal) continue;
    const auto& old = previous[i];
    if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
    sigaction(signal, &old, nullptr);  // the default: comes again as soon as this handler returns
  }
}

void handle(int signal, siginfo_t* info, void* context) {
  if (!block.running || !current || !pthread_equal(pthread_self(), launching_thread))
    return pass_on(signal, info, context);
  switch (signal) {
    case SIGFPE: fail("integer division by zero, or of the smallest integer by -1");
    case SIGILL: fail("the kernel reached code that cannot be reached");
    default: bad_address(reinterpret_cast<uintptr_t>(info->si_addr), info->si_code == SEGV_ACCERR);
  }
}

void too_long(int, siginfo_t*, void*) {
  if (block.running && current && pthread_equal(pthread_self(), launching_thread))
    fail("stopped after %g s of processor time: a loop does not end, or waits for a thread that cannot run before it",
         block.how.seconds);
}

}  // namespace

// SA_NODEFER: the handlers leave by longjmp, so the signal must not stay blocked behind them.
FaultHandlers::FaultHandlers(double seconds) {
  launching_thread = pthread_self();
  static char stack[64 << 10];
  stack_t own{};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  sigaltstack(&own, &previous_stack);
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  action.sa_sigaction = handle;
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &previous[i]);
  action.sa_sigaction = too_long;
  sigaction(timer_signal(), &action, &previous_timer);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = timer_signal();
  event._sigev_un._tid = pid_t(syscall(SYS_gettid));
  timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer);
  itimerspec when{};
  when.it_value.tv_sec = time_t(seconds);
  when.it_value.tv_nsec = long((seconds - double(when.it_value.tv_sec)) * 1e9);
  timer_settime(timer, 0, &when, nullptr);
}

FaultHandlers::~FaultHandlers() {
  timer_delete(timer);
  sigaction(timer_signal(), &previous_timer, nullptr);
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &previous[i], nullptr);
  sigaltstack(&previous_stack, nullptr);
}

}  // namespace cuda_on_cpu
